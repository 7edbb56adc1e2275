//! What is to be written to a connection: put in by whoever has something to say, taken out by the task that writes.

use std::collections::VecDeque;

use event_channel::sync::{Arc, Condvar, Mutex};

/// What both ends share: what waits to be written, and whether more can come.
struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

/// Closes the queue when it is dropped.
pub struct Sender<T>(Arc<Shared<T>>);

/// Iterates over what comes, until the queue is closed and empty.
pub struct Receiver<T>(Arc<Shared<T>>);

pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = Mutex::new(State { items: VecDeque::new(), closed: false });
    let shared = Arc::new(Shared { state, changed: Condvar::new() });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Sender<T> {
    pub fn send(&self, item: T) {
        self.0.state.lock().unwrap().items.push_back(item);
        self.0.changed.notify_one();
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().closed = true;
        self.0.changed.notify_one();
    }
}

impl<T> Iterator for Receiver<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let mut state = self.0.state.lock().unwrap();
        while state.items.is_empty() && !state.closed {
            state = self.0.changed.wait(state).unwrap();
        }
        state.items.pop_front()
    }
}
