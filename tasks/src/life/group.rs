//! Waiting for the ends of a group's tasks.

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
    /// This one was abandoned by its scheduler. Told of once; there may be more.
    Abandoned(Task),
}

impl Group {
    /// The error of a member that [failed](Group::failures) was seen.
    pub fn claim(&self) {
        if !forked() {
            self.claims();
        }
    }

    /// Waits until the group is empty, or there is something to tell: suspends a task, blocks a plain thread. At most one waits at a time.
    ///
    /// A member that was abandoned never ends: then, after the news of it, this does not return. In a forked child it returns at once, for
    /// none of the parent's tasks is there.
    pub fn wait(&self) -> GroupNews {
        loop {
            if forked() || self.is_over() {
                return GroupNews::Over;
            }
            self.wait_for_news();
            // (One that was abandoned may have ended since.)
            if let Some(task) = self.take_abandoned()
                && !self.is_over()
            {
                return GroupNews::Abandoned(task);
            }
        }
    }

    fn wait_for_news(&self) {
        with_current(|current| match current {
            Some(me) => {
                self.set_waiter(Some(GroupWaiter::Task(me.clone())));
                begin_wait(&GROUP, self.live() as u64, 0);
                while !self.has_news() {
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
    }
}

/// A member has panicked, or was refused: the others are cancelled.
pub(super) fn failed(member: &Member, panicked: bool) {
    if !forked() && member.fails(panicked) {
        member.group().cancel_all();
    }
}
