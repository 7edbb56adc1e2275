//! Asking a task to stop.
//!
//! A wait may have a function that ends it early ([`CancelWait`]). A pool's waits have none: the woken task looks at its flag, and
//! cancels its own request.
//!
//! `cancel` sets a flag and then looks at what the task waits for. The task announces what it waits for and then looks
//! at the flag. Both are sequentially consistent, so one of the two sees the other: no cancel is slept through.
//!
//! [`take_cancel`] delivers a cancel once, at a cancellation point. It delivers a sticky one (shutdown) again at each.

use crate::task::{CancelWait, Scheduler, Task, Tokens};
use crate::util::foreign::catch_quietly;
use crate::util::forked::forked;
use crate::wait::current::with_caller;
use crate::wait::section;

impl Task {
    /// Asks the task to stop: its present wait (if that can be cancelled) or its next
    /// cancellation point gives an error, once. Nothing is unwound by force. Without effect on a
    /// task that has ended.
    pub fn cancel(&self) {
        self.cancel_with(false);
    }

    /// As [`Task::cancel`], but every cancellation point from now on gives the error: for a
    /// shutdown, which is the business of the task's own `scheduler`. Another one does nothing by this.
    pub fn cancel_sticky<S: Scheduler>(&self, scheduler: &S) {
        if self.is_of(scheduler) {
            self.cancel_with(true);
        }
    }

    fn cancel_with(&self, sticky: bool) {
        let header = self.header();
        if header.cancel.ask(sticky) && !forked() {
            section::cancelled(self);
        }
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
        self.header().cancel.was_asked()
    }
}

/// A cancellation point of the current task: true if a cancel is to be delivered here, which
/// counts as done then. False in a plain thread; here and below one that a task has called [`on_thread`](crate::on_thread) on is
/// that task.
pub fn take_cancel() -> bool {
    with_caller(|task| task.is_some_and(|task| task.header().cancel.take()))
}

/// Whether a cancel waits to be delivered to the current task. False in a plain thread.
pub fn cancel_pending() -> bool {
    with_caller(|task| task.is_some_and(|task| task.header().cancel.is_pending()))
}

/// Was a cancel delivered to the current task since it last called this? For the next call it counts as if one had been (`so`), or not. So
/// whoever wants to know about a part of the task's life calls it at the beginning (with `false`) and at the end (with what was the answer
/// then, or is now). False in a plain thread.
pub fn cancel_delivered(so: bool) -> bool {
    with_caller(|task| task.is_some_and(|task| task.header().cancel.look_back(so)))
}

/// Was the current task ever cancelled? False in a plain thread.
pub fn was_cancelled() -> bool {
    with_caller(|task| task.is_some_and(Task::is_cancelled))
}
