//! Asking a task to stop.
//!
//! `cancel` sets a flag and then looks at what the task waits for; the task announces what it
//! waits for and then looks at the flag. Both are sequentially consistent, so that one of the
//! two sees the other: no cancel is slept through. It is delivered once, at a cancellation
//! point, by [`take_cancel`]; a sticky one (shutdown) again at each.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::current::with_current;
use crate::header::Task;
use crate::quiet::catch_quietly;
use crate::scheduler::Scheduler;
use crate::tokens::Tokens;
use crate::wait::CancelWait;

const PENDING: u8 = 1;
const LATCHED: u8 = 2;
const STICKY: u8 = 4;

pub(crate) struct CancelFlags(AtomicU8);

impl CancelFlags {
    pub(crate) fn new() -> Self {
        CancelFlags(AtomicU8::new(0))
    }
}

impl Task {
    /// Asks the task to stop: its present wait (if that can be cancelled) or its next
    /// cancellation point gives an error, once. Nothing is unwound by force. Without effect on a
    /// task that has ended.
    pub fn cancel(&self) {
        self.cancel_with(PENDING | LATCHED);
    }

    /// As [`Task::cancel`], but every cancellation point from now on gives the error: for a
    /// shutdown, which is the business of the task's own `scheduler`. Another one does nothing by this.
    pub fn cancel_sticky<S: Scheduler>(&self, scheduler: &S) {
        if self.is_of(scheduler) {
            self.cancel_with(PENDING | LATCHED | STICKY);
        }
    }

    fn cancel_with(&self, flags: u8) {
        let header = self.header();
        header.cancel.0.fetch_or(flags, Ordering::SeqCst);
        if let Some(wait) = header.wait.read()
            && let Some(CancelWait(cancel)) = wait.kind.cancel
        {
            // (Who cancels has not written it.)
            catch_quietly(|| cancel(wait.token, self));
        }
        self.wake(Tokens::SYNC);
    }

    /// Whether the task was ever cancelled. Stays true after the delivery.
    pub fn is_cancelled(&self) -> bool {
        self.header().cancel.0.load(Ordering::Relaxed) & LATCHED != 0
    }
}

/// A cancellation point of the current task: true if a cancel is to be delivered here, which
/// counts as done then. False in a plain thread.
pub fn take_cancel() -> bool {
    with_current(|task| {
        let Some(task) = task else { return false };
        let flags = &task.header().cancel.0;
        let seen = flags.load(Ordering::SeqCst);
        if seen & PENDING == 0 {
            return false;
        }
        // Only the task itself clears the bit, so it is still there.
        if seen & STICKY == 0 && flags.fetch_and(!PENDING, Ordering::SeqCst) & STICKY != 0 {
            // It became sticky in between.
            flags.fetch_or(PENDING, Ordering::SeqCst);
        }
        true
    })
}

/// Whether a cancel waits to be delivered to the current task. False in a plain thread.
pub fn cancel_pending() -> bool {
    with_current(|task| task.is_some_and(|task| task.header().cancel.0.load(Ordering::SeqCst) & PENDING != 0))
}
