//! How a thread waits: the thread of a dedicated task, and one that is no task and joins one.

use crate::util::lock::{Condvar, Mutex};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

/// Where a thread waits for a condition that others change.
#[derive(Default)]
pub(crate) struct Parker {
    /// Whether it waits.
    waits: Mutex<bool>,
    changed: Condvar,
    /// The number of the thread that waits here, if it has said so; else 0.
    thread: AtomicI32,
}

impl Parker {
    /// The thread is `id`.
    pub(crate) fn is_of(&self, id: i32) {
        self.thread.store(id, Ordering::Relaxed);
    }

    /// The number of its thread, if that has said so.
    pub(crate) fn thread(&self) -> Option<i32> {
        Some(self.thread.load(Ordering::Relaxed)).filter(|&id| id != 0)
    }

    /// Blocks as long as `waits` says so, which only looks at something. Who changes that calls `notify` afterwards.
    pub(crate) fn wait_while(&self, waits: impl Fn() -> bool) {
        let mut guard = self.waits.lock();
        *guard = true;
        while waits() {
            self.changed.wait(&mut guard);
        }
        *guard = false;
    }

    /// As [`wait_while`](Self::wait_while), until `end` at the latest.
    pub(crate) fn wait_while_until(&self, waits: impl Fn() -> bool, end: Instant) {
        let mut guard = self.waits.lock();
        *guard = true;
        while waits() && !self.changed.wait_until(&mut guard, end) {}
        *guard = false;
    }

    /// The condition has changed.
    pub(crate) fn notify(&self) {
        // The lock: the thread is not between its look at the condition and its sleep. (One thread, and one that waits in one place.)
        let waits = *self.waits.lock();
        if waits {
            self.changed.notify_all();
        }
    }
}
