//! A channel of our `Mutex` and `Condvar`, as long as the crate has none of its own. The names are the ones that it will have.

use event_channel::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    filled: Condvar,
    emptied: Condvar,
    capacity: usize,
}

struct Queue<T> {
    values: VecDeque<T>,
    senders: usize,
    receivers: usize,
}

/// All on the other side have gone.
#[derive(Debug)]
pub struct Closed;

pub struct Sender<T>(Arc<Shared<T>>);
pub struct Receiver<T>(Arc<Shared<T>>);

pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Mutex::new(Queue { values: VecDeque::new(), senders: 1, receivers: 1 });
    let shared = Arc::new(Shared { queue, filled: Condvar::new(), emptied: Condvar::new(), capacity });
    (Sender(shared.clone()), Receiver(shared))
}

pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}

impl<T> Sender<T> {
    pub fn send(&self, value: T) -> Result<(), Closed> {
        let mut queue = self.0.queue.lock().unwrap();
        while queue.values.len() >= self.0.capacity && queue.receivers > 0 {
            queue = self.0.emptied.wait(queue).unwrap();
        }
        if queue.receivers == 0 {
            return Err(Closed);
        }
        queue.values.push_back(value);
        drop(queue);
        self.0.filled.notify_one();
        Ok(())
    }
}

impl<T> Receiver<T> {
    pub fn recv(&self) -> Result<T, Closed> {
        let mut queue = self.0.queue.lock().unwrap();
        loop {
            if let Some(value) = queue.values.pop_front() {
                drop(queue);
                self.0.emptied.notify_one();
                return Ok(value);
            }
            if queue.senders == 0 {
                return Err(Closed);
            }
            queue = self.0.filled.wait(queue).unwrap();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.queue.lock().unwrap().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.0.queue.lock().unwrap().receivers += 1;
        Receiver(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.queue.lock().unwrap().senders -= 1;
        self.0.filled.notify_all();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.queue.lock().unwrap().receivers -= 1;
        self.0.emptied.notify_all();
    }
}
