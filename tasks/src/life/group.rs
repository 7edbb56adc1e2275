//! Waiting for the ends of a group's tasks, and stopping them.

use std::sync::Arc;

use crate::task::{Group, GroupWaiter, Member, Parker, Task, Tokens, WaitKind};
use crate::util::forked::forked;
use crate::wait::{begin_wait, end_wait, suspend, with_current};

static GROUP: WaitKind = WaitKind {
    name: "scope",
    cancel: None,
    describe: |live, _| match live {
        1 => String::from("the end of a task"),
        live => format!("the end of {live} tasks"),
    },
};

/// Why [`Group::wait`] returns.
#[derive(Debug)]
pub enum GroupNews {
    /// All members have ended, or this is a forked child, where none of them is.
    Over,
    /// The caller is to look whether it was cancelled.
    Woken,
    /// This one was abandoned by its scheduler. Told of once; there may be more.
    Abandoned(Task),
}

impl Group {
    /// Cancels all members, and those to come, once: those that were cancelled before, because one of them failed, are not again.
    pub fn cancel(&self) {
        if !forked() && self.stops() {
            self.cancel_all();
        }
    }

    /// The error of a member that [failed](Group::failures) was seen.
    pub fn claim(&self) {
        if !forked() {
            self.claims();
        }
    }

    /// Waits until the group is empty, or there is something to tell: suspends a task, blocks a plain thread. A task returns as well as soon
    /// as `cancelled` says so, which is asked whenever the task was woken, and only looks at something. At most one waits at a time.
    ///
    /// A member that was abandoned never ends: then, after the news of it, this does not return. In a forked child it returns at once, for
    /// none of the parent's tasks is there.
    pub fn wait(&self, cancelled: impl Fn() -> bool) -> GroupNews {
        if forked() || self.is_over() {
            return GroupNews::Over;
        }
        with_current(|current| match current {
            Some(me) => {
                self.set_waiter(Some(GroupWaiter::Task(me.clone())));
                begin_wait(&GROUP, self.live() as u64, 0);
                while !self.has_news() && !cancelled() {
                    suspend(Tokens::SYNC);
                }
                end_wait();
            }
            None => {
                let parker = Arc::<Parker>::default();
                self.set_waiter(Some(GroupWaiter::Thread(parker.clone())));
                parker.wait_while(|| !self.has_news());
            }
        });
        self.set_waiter(None);
        match self.take_abandoned() {
            _ if self.is_over() => GroupNews::Over,
            Some(task) => GroupNews::Abandoned(task),
            None => GroupNews::Woken,
        }
    }

    fn cancel_all(&self) {
        while let Some(task) = self.next_to_cancel() {
            task.cancel();
        }
    }
}

/// A member has panicked, or was refused: the others are cancelled.
pub(super) fn failed(member: &Member, panicked: bool) {
    if !forked() && member.fails(panicked) {
        member.group().cancel_all();
    }
}
