//! One who waits until somebody tells him: a task, which suspends, or a plain thread, which blocks.
//!
//! Whoever tells sets a flag, and wakes the waiter only if it was not set before. What he wrote before that is seen by the waiter who has
//! found the flag set, or has taken it back.
//!
//! This file has `unsafe` in it: the contract of `ec_tasks::Watcher`.

use ec_pool::wait::{self, Stop};
use ec_tasks::lock::{Condvar, Mutex};
use ec_tasks::{Task, Tokens, WaitKind, Watcher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Instant;

/// See the module.
pub(crate) struct Waiter {
    told: AtomicBool,
    who: Who,
}

enum Who {
    Task(Task),
    Thread(Mutex<()>, Condvar),
}

impl Waiter {
    /// The caller.
    pub(crate) fn here() -> Arc<Waiter> {
        let who = ec_tasks::current().map_or_else(|| Who::Thread(Mutex::new(()), Condvar::new()), Who::Task);
        Arc::new(Waiter { told: AtomicBool::new(false), who })
    }

    /// Is it the caller's? (A coroutine of another crate may go on elsewhere.)
    pub(crate) fn is_here(&self) -> bool {
        ec_tasks::with_current(|current| match (&self.who, current) {
            (Who::Task(task), Some(me)) => task == me,
            (Who::Thread(..), None) => true,
            _ => false,
        })
    }

    /// Nobody but the waiter does anything about it any more.
    pub(crate) fn leave(&self) {
        self.told.store(true, Ordering::Relaxed);
    }

    /// The flag is set no more. True: it was.
    pub(crate) fn take(&self) -> bool {
        // (A swap also where it is set: one who has found it set has written before.)
        self.told.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn tell(&self) {
        if self.told.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.who {
            // Never to return from its wait.
            Who::Task(task) if ec_pool::is_abandoned(task) => (),
            Who::Task(task) => task.wake(Tokens::SYNC),
            Who::Thread(lock, bell) => {
                // Between its look at the flag and its sleep the thread holds the lock.
                drop(lock.lock());
                bell.notify_one();
            }
        }
    }

    /// By the waiter: until it is told (`true`) or `deadline` has come. With `point` it is a cancellation point.
    pub(crate) fn wait(
        &self,
        kind: &'static WaitKind,
        detail: u64,
        deadline: Option<Instant>,
        point: bool,
    ) -> Result<bool, Stop> {
        let (lock, bell) = match &self.who {
            Who::Task(_) => return wait::until(kind, detail, deadline, point, &self.told),
            Who::Thread(lock, bell) => (lock, bell),
        };
        let scope = if point { wait::scope_deadline() } else { None };
        let at = wait::earliest(deadline, scope);
        let mut guard = lock.lock();
        while !self.told.load(Ordering::Acquire) {
            match at {
                None => bell.wait(&mut guard),
                Some(at) if bell.wait_until(&mut guard, at) => {
                    return match self.told.load(Ordering::Acquire) {
                        false if deadline != Some(at) => Err(Stop::Scope(at)),
                        told => Ok(told),
                    };
                }
                Some(_) => (),
            }
        }
        Ok(true)
    }
}

/// As the waker of a future.
impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.tell();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.tell();
    }
}

// SAFETY: it sets a flag, and makes a task ready or notifies a thread.
unsafe impl Watcher for Waiter {
    fn ended(self: Arc<Self>, _: u32, _: bool) {
        self.tell();
    }
}
