//! One who waits until somebody tells him: a task, which suspends, or a plain thread, which blocks.
//!
//! Whoever tells sets a flag, and wakes the waiter only if it was not set before. What he wrote before that is seen by the waiter who has
//! found the flag set, or has taken it back.

use ec_pool::wait::{self, Sleeper, Stop};
use ec_tasks::WaitKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Instant;

/// See the module.
pub struct Waiter {
    told: AtomicBool,
    sleeper: Sleeper,
}

impl Waiter {
    /// The caller.
    pub(crate) fn here() -> Arc<Waiter> {
        Waiter::of(Sleeper::current())
    }

    /// One who waits for other things as well.
    pub(crate) fn of(sleeper: Sleeper) -> Arc<Waiter> {
        Arc::new(Waiter { told: AtomicBool::new(false), sleeper })
    }

    /// Is it the caller's? (A coroutine of another crate may go on elsewhere.)
    pub(crate) fn is_here(&self) -> bool {
        self.sleeper.is_current()
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

    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    pub(crate) fn tell(&self) {
        if !self.told.swap(true, Ordering::AcqRel) {
            self.sleeper.wake();
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
        let is_told = || self.is_told();
        loop {
            let since = wait::look();
            if is_told() {
                return Ok(true);
            }
            // (Also if some pool has stopped: that is nothing to this one.)
            if !self.sleeper.wait((kind, [0, detail]), deadline, point, since, is_told)? {
                return Ok(false);
            }
        }
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
