//! Tasks that wait for one another, in a pool of one core on epoll.

use crate::count;
use crate::pool::{inside, spawn};
use ec_tasks::Kind;
use event_channel::sync::{Arc, Mutex};
use event_channel::task;

/// A lock that is free is taken and left, by a task.
pub fn lock() {
    inside(Kind::Own, |_| {
        let mutex = Mutex::new(0);
        count(10_000, |operations| {
            for _ in 0..operations {
                *mutex.lock().expect("not poisoned") += 1;
            }
        });
    });
}

/// A section of a lock that the other task has: it waits, is woken and takes it. Whoever has it yields in it, and behind it.
pub fn hand_over() {
    inside(Kind::Own, |_| {
        let mutex = Arc::new(Mutex::new(()));
        count(4_000, |operations| {
            let theirs = mutex.clone();
            let other = spawn(Kind::Own, move || sections(&theirs, operations / 2));
            sections(&mutex, operations / 2);
            other.join().expect("it does not panic");
        });
    });
}

fn sections(mutex: &Mutex<()>, count: u32) {
    for _ in 0..count {
        let guard = mutex.lock().expect("not poisoned");
        task::yield_now();
        drop(guard);
        task::yield_now();
    }
}
