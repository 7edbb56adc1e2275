//! Asking a task to stop.
//!
//! A wait may have a function that ends it early ([`CancelWait`]). A pool's waits have none: the woken task looks at its flag, and
//! cancels its own request.
//!
//! `cancel` sets a flag and then looks at what the task waits for. The task announces what it waits for and then looks
//! at the flag. Both are sequentially consistent, so one of the two sees the other: no cancel is slept through.
//!
//! The groups of the scopes that a task has opened are cancelled with it (`task/followers.rs`).
//!
//! [`take_cancel`] delivers a cancel once, at a cancellation point. It delivers a sticky one (shutdown) again at each.

use crate::task::{CancelWait, Chain, Follower, Group, Scheduler, Task, Tokens};
use crate::util::foreign::catch_quietly;
use crate::util::forked::forked;
use crate::util::lock::MutexGuard;
use crate::wait::current::with_caller;
use crate::wait::section;
use std::sync::Arc;

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
        cancel_groups(self.cancel_alone(sticky));
    }

    /// But for the groups that are to be cancelled with the task: it gives them.
    fn cancel_alone(&self, sticky: bool) -> Chain {
        let header = self.header();
        let mut groups = Chain::default();
        if forked() {
            header.cancel.ask(sticky);
        } else {
            let (in_section, taken) = header.followers.take_with(|| header.cancel.ask(sticky));
            groups = taken;
            if in_section {
                section::cancelled(self);
            }
        }
        if let Some(wait) = header.wait.read()
            && let Some(CancelWait(cancel)) = wait.kind.cancel
        {
            // (Who cancels has not written it.)
            catch_quietly(|| cancel(wait.token, self));
        }
        self.wake(Tokens::SYNC);
        groups
    }

    /// Whether the task was ever cancelled. Stays true after the delivery.
    pub fn is_cancelled(&self) -> bool {
        self.header().cancel.was_asked()
    }
}

impl Group {
    /// Cancels all members, and those to come, once: those that were cancelled before, because one of them failed, are not again, also if
    /// that failure was [claimed](Group::claim) meanwhile.
    pub fn cancel(&self) {
        if !forked() && self.stops() {
            self.cancel_all();
        }
    }

    /// The present members, and all that are to be cancelled with them.
    pub(crate) fn cancel_all(&self) {
        let mut groups = Chain::default();
        self.cancel_each(&mut groups);
        cancel_groups(groups);
    }

    fn cancel_each(&self, groups: &mut Chain) {
        while let Some(task) = self.next_to_cancel() {
            groups.append(task.cancel_alone(false));
        }
    }
}

/// One after the other, with all that comes of it: not by recursion, as there may be many in each other.
fn cancel_groups(mut groups: Chain) {
    while let Some(group) = groups.pop() {
        group.task_cancelled(&mut groups);
    }
}

impl Follower for Group {
    fn behind(&self) -> MutexGuard<'_, Option<Arc<dyn Follower>>> {
        self.place_in_chain()
    }

    fn task_cancelled(&self, next: &mut Chain) {
        if self.stops() {
            self.cancel_each(next);
        }
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

/// Was the current task ever cancelled? False in a plain thread.
pub fn was_cancelled() -> bool {
    with_caller(|task| task.is_some_and(Task::is_cancelled))
}
