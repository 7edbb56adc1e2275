//! std's lock, or parking_lot's (`api=parking_lot`); channels: crossbeam's, which std's are made of, since std's have one receiver;
//! tokens: std's `park` and `unpark`.

use crate::of_threads::{ParkingLot, Std};
use crate::waiting::{Channels, Tokens, channels, chat, locks, tokens};
use crossbeam::channel;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

/// Runs what the command line names, if it is of these.
pub fn run() -> bool {
    if common::args().str("api", "") == "parking_lot" {
        return locks::<ParkingLot>();
    }
    locks::<Std>() || channels::<Crossbeam>() || tokens::<Park>() || chat::<Std, Crossbeam>()
}

struct Crossbeam;

impl Channels for Crossbeam {
    type Tx<T: Send + 'static> = channel::Sender<T>;
    type Rx<T: Send + 'static> = channel::Receiver<T>;
    fn ends<T: Send + 'static>(
        capacity: Option<usize>,
        senders: usize,
        receivers: usize,
    ) -> (Vec<Self::Tx<T>>, Vec<Self::Rx<T>>) {
        let (tx, rx) = capacity.map_or_else(channel::unbounded, channel::bounded);
        (vec![tx; senders], vec![rx; receivers])
    }
    fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T) {
        let _ = tx.send(value);
    }
    fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.recv().ok()
    }
}

struct Park {
    owner: OnceLock<Thread>,
    given: AtomicBool,
}

impl Tokens for Park {
    fn new() -> Park {
        Park { owner: OnceLock::new(), given: AtomicBool::new(false) }
    }
    fn mine(&self) {
        let _ = self.owner.set(thread::current());
    }
    fn give(&self) {
        self.given.store(true, Ordering::Release);
        self.owner.get().expect("both have said who they are").unpark();
    }
    fn take(&self) {
        while !self.given.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}
