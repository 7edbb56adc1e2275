//! The floor: numbers over a queue that knows nothing of the system.

use crate::Carrier;
use crossbeam::channel::{Receiver, Sender, unbounded};

const END: u64 = u64::MAX;

pub struct Crossbeam {
    tx: Sender<u64>,
    rx: Receiver<u64>,
    getters: usize,
}

impl Crossbeam {
    pub fn new(getters: usize) -> Crossbeam {
        let (tx, rx) = unbounded();
        Crossbeam { tx, rx, getters }
    }
}

impl Carrier for Crossbeam {
    fn post(&self, n: u64) {
        self.tx.send(n).expect("send");
    }

    fn post_all(&self, numbers: std::ops::Range<u64>) {
        numbers.for_each(|n| self.post(n));
    }

    fn close(&self) {
        (0..self.getters).for_each(|_| self.post(END));
    }

    /// One is waited for, and as many more taken as there are, up to the batch; nothing follows an end.
    fn get_all(&self, batch: usize, got: &mut dyn FnMut(usize)) {
        while let Ok(n) = self.rx.recv() {
            if n == END {
                return;
            }
            let more = self.rx.try_iter().take(batch - 1);
            let mut count = 1;
            for n in more {
                if n == END {
                    got(count);
                    return;
                }
                count += 1;
            }
            got(count);
        }
    }
}
