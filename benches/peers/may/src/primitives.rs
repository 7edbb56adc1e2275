//! Its locks, channels and semaphores. It has no bounded channel.

use crate::waiting::{Channels, Locks, Tokens, channels, chat, locks, tokens};
use may::sync::{Mutex, Semphore, mpmc};

/// Runs what the command line names, if it is of these.
pub fn run() -> bool {
    locks::<May>() || channels::<May>() || tokens::<Semphore>() || chat::<May, May>()
}

struct May;

impl Locks for May {
    type Mutex<T: Send + 'static> = Mutex<T>;
    fn mutex<T: Send + 'static>(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
    fn with<T: Send + 'static, R>(mutex: &Mutex<T>, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut mutex.lock().unwrap())
    }
}

impl Channels for May {
    type Tx<T: Send + 'static> = mpmc::Sender<T>;
    type Rx<T: Send + 'static> = mpmc::Receiver<T>;
    fn ends<T: Send + 'static>(
        capacity: Option<usize>,
        senders: usize,
        receivers: usize,
    ) -> (Vec<Self::Tx<T>>, Vec<Self::Rx<T>>) {
        if capacity.is_some() {
            common::na("it has no bounded channel");
        }
        let (tx, rx) = mpmc::channel();
        (vec![tx; senders], vec![rx; receivers])
    }
    fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T) {
        let _ = tx.send(value);
    }
    fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.recv().ok()
    }
}

impl Tokens for Semphore {
    fn new() -> Semphore {
        Semphore::new(0)
    }
    fn give(&self) {
        self.post();
    }
    fn take(&self) {
        self.wait();
    }
}
