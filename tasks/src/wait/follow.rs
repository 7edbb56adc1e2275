//! A group that is cancelled with the task that has made it.

use std::fmt;
use std::sync::Arc;

use super::cancel::cancel_pending;
use super::current::with_caller;
use crate::task::{Group, Task};
use crate::util::forked::forked;

/// A group is cancelled with a task, as long as this lives. (If it is leaked, as long as the task is there.)
#[must_use = "it ends when this is dropped"]
pub struct Follows<'a> {
    group: &'a Arc<Group>,
    task: Task,
}

impl Group {
    /// From here on a cancel of the calling task (or of the one that has called [`on_thread`](crate::on_thread)) cancels the group, too, at
    /// once, whatever the task is doing; and so does one that waits to be delivered. Of several, the first. `None`: nobody cancels the
    /// caller, which is a plain thread, or in a forked child.
    ///
    /// # Panics
    /// A group follows one task, once.
    pub fn follow(self: &Arc<Self>) -> Option<Follows<'_>> {
        let task = with_caller(|task| task.cloned())?;
        self.begins_to_follow();
        task.header().followers.add(self.clone());
        if cancel_pending() {
            self.cancel();
        }
        Some(Follows { group: self, task })
    }
}

impl Drop for Follows<'_> {
    fn drop(&mut self) {
        if !forked() {
            self.task.header().followers.remove(&**self.group);
        }
    }
}

impl fmt::Debug for Follows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follows").field("task", &self.task).finish_non_exhaustive()
    }
}
