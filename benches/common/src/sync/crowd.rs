//! Many tasks that are called together, each by a channel of its own, and run.

use crate::rt;
use common::{LastOf, ns};
use std::sync::Arc;
use std::time::Instant;

const END: u64 = u64::MAX;

/// The side of the one that calls.
pub struct Crowd {
    bells: Vec<rt::Tx>,
    last: Arc<LastOf>,
    done: rt::Tx,
    all_ran: rt::Rx,
}

/// A task's side.
pub struct Seat {
    bell: rt::Rx,
    last: Arc<LastOf>,
    done: rt::Tx,
}

impl Crowd {
    /// For `n` tasks, each with a [`seat`](Self::seat).
    pub fn new(n: usize) -> Crowd {
        let (done, all_ran) = rt::chan();
        Crowd { bells: Vec::with_capacity(n), last: Arc::new(LastOf::new(n)), done, all_ran }
    }

    pub fn seat(&mut self) -> Seat {
        let (tx, bell) = rt::chan();
        self.bells.push(tx);
        Seat { bell, last: self.last.clone(), done: self.done.clone() }
    }

    /// Calls all; the nanoseconds until the last has run.
    pub fn call(&self, number: u64) -> u64 {
        let t = Instant::now();
        self.bells.iter().for_each(|bell| rt::send(bell, number));
        rt::recv(&self.all_ran);
        ns(t)
    }

    pub fn end(self) {
        self.call(END);
    }
}

impl Seat {
    /// Waits for a call, and for the end.
    pub fn called(&self) -> Option<u64> {
        let number = rt::recv(&self.bell);
        if number != END {
            return Some(number);
        }
        self.ran();
        None
    }

    /// The last one to run says so to the caller.
    pub fn ran(&self) {
        if self.last.is_me() {
            rt::send(&self.done, 0);
        }
    }
}
