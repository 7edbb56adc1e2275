//! What tasks wait for one another by: this project's locks, channels and notifications; with `api=`, others in its tasks.

use crate::of_threads::{ParkingLot, Std};
use crate::waiting::{Channels, Locks, Tokens, channels, chat, locks, tokens};
use event_channel::sync::{Mutex, Notification, channel, mpsc};
use event_channel::task::{self, Task};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs what the command line names, if it is of these.
pub fn run() -> bool {
    match common::args().str("api", "").as_str() {
        "std" => locks::<Std>() || chat::<Std, Std>(),
        "parking_lot" => locks::<ParkingLot>(),
        "park" => tokens::<Park>(),
        _ => locks::<Ours>() || channels::<Ours>() || tokens::<Notification>() || chat::<Ours, Mpsc>(),
    }
}

struct Ours;

impl Locks for Ours {
    type Mutex<T: Send + 'static> = Mutex<T>;
    fn mutex<T: Send + 'static>(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
    fn with<T: Send + 'static, R>(mutex: &Mutex<T>, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut mutex.lock().unwrap())
    }
}

impl Channels for Ours {
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

/// As std's: one receiver.
struct Mpsc;

impl Channels for Mpsc {
    type Tx<T: Send + 'static> = mpsc::Sender<T>;
    type Rx<T: Send + 'static> = mpsc::Receiver<T>;
    fn ends<T: Send + 'static>(
        _: Option<usize>,
        senders: usize,
        _: usize,
    ) -> (Vec<Self::Tx<T>>, Vec<Self::Rx<T>>) {
        let (tx, rx) = mpsc::channel();
        (vec![tx; senders], vec![rx])
    }
    fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T) {
        let _ = tx.send(value);
    }
    fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.recv().ok()
    }
}

impl Tokens for Notification {
    fn new() -> Notification {
        Notification::new()
    }
    fn give(&self) {
        self.post();
    }
    fn take(&self) {
        self.wait();
    }
}

/// `park` and `unpark`.
struct Park {
    owner: OnceLock<Task>,
    given: AtomicBool,
}

impl Tokens for Park {
    fn new() -> Park {
        Park { owner: OnceLock::new(), given: AtomicBool::new(false) }
    }
    fn mine(&self) {
        let _ = self.owner.set(task::current());
    }
    fn give(&self) {
        self.given.store(true, Ordering::Release);
        self.owner.get().expect("both have said who they are").unpark();
    }
    fn take(&self) {
        while !self.given.swap(false, Ordering::Acquire) {
            task::park();
        }
    }
}

impl Channels for Std {
    type Tx<T: Send + 'static> = std::sync::mpsc::Sender<T>;
    type Rx<T: Send + 'static> = std::sync::mpsc::Receiver<T>;
    fn ends<T: Send + 'static>(
        _: Option<usize>,
        senders: usize,
        _: usize,
    ) -> (Vec<Self::Tx<T>>, Vec<Self::Rx<T>>) {
        let (tx, rx) = std::sync::mpsc::channel();
        (vec![tx; senders], vec![rx])
    }
    fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T) {
        let _ = tx.send(value);
    }
    fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.recv().ok()
    }
}
