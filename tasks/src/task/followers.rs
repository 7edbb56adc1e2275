//! The groups that are cancelled with a task: those of the scopes that it has opened. Each is listed until its scope is over, or the cancel has
//! come.
//!
//! That the task is asked to stop, and that the groups are taken out of the list to be told, is one step, under one lock. So each group is told
//! that was listed before. Who lists one later looks afterwards whether something waits to be delivered to the task: what has been delivered by
//! then is not that group's. A group that was told is not told of a second cancel, and is not listed any more.
//!
//! Who has taken groups out tells them, and what of theirs is to be told, without a lock. They lie in a [`Chain`] meanwhile, which needs no
//! room. In a forked child nobody uses the lists.

use std::mem;
use std::ptr;
use std::sync::Arc;

use crate::util::forked::forked;
use crate::util::lock::{Mutex, MutexGuard};

/// A group, as the task's record knows it.
pub(crate) trait Follower: Send + Sync {
    /// Which is next in the chain that it is in. For the chain's owner alone.
    fn behind(&self) -> MutexGuard<'_, Option<Arc<dyn Follower>>>;

    /// A task was cancelled that it follows. Its members are, too; those that follow them come into `next`.
    fn task_cancelled(&self, next: &mut Chain);
}

/// See the module.
pub(crate) struct Followers(Mutex<Chain>);

impl Followers {
    pub(crate) fn new() -> Followers {
        Followers(Mutex::new(Chain::default()))
    }

    /// Lists `group`, which is in no list.
    pub(crate) fn add(&self, group: Arc<dyn Follower>) {
        self.0.lock().push(group);
    }

    /// `group` is in the list no more.
    pub(crate) fn remove(&self, group: &dyn Follower) {
        let listed = self.0.lock().take_out(group);
        drop(listed);
    }

    /// The task is asked to stop, by `ask`. Gives who is to be told of it as well.
    pub(crate) fn take_with<R>(&self, ask: impl FnOnce() -> R) -> (R, Chain) {
        let mut listed = self.0.lock();
        (ask(), mem::take(&mut listed))
    }
}

/// Some groups, one behind the other. A group is in one chain at most: of a task's list, or of somebody who tells them.
#[derive(Default)]
pub(crate) struct Chain(Option<Arc<dyn Follower>>);

impl Chain {
    fn push(&mut self, group: Arc<dyn Follower>) {
        let before = self.0.replace(group.clone());
        let none = mem::replace(&mut *group.behind(), before);
        debug_assert!(none.is_none(), "it is in one chain");
    }

    pub(crate) fn pop(&mut self) -> Option<Arc<dyn Follower>> {
        let first = self.0.take()?;
        self.0 = first.behind().take();
        Some(first)
    }

    /// All of `others`, too.
    pub(crate) fn append(&mut self, mut others: Chain) {
        while let Some(group) = others.pop() {
            self.push(group);
        }
    }

    fn take_out(&mut self, group: &dyn Follower) -> Option<Arc<dyn Follower>> {
        let is_it = |other: &Arc<dyn Follower>| ptr::addr_eq(Arc::as_ptr(other), group);
        if is_it(self.0.as_ref()?) {
            return self.pop();
        }
        // (The references that come and go here are not the last.)
        let mut at = self.0.clone()?;
        loop {
            let next = at.behind().clone()?;
            if is_it(&next) {
                let behind = next.behind().take();
                return mem::replace(&mut *at.behind(), behind);
            }
            at = next;
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if self.0.is_some() {
            // (Only where a forked child drops what its parent has listed, and whose locks are as they were.)
            match forked() {
                true => mem::forget(self.0.take()),
                false => while self.pop().is_some() {},
            }
        }
    }
}
