//! What is queued in a pool that has stopped.
//!
//! * A task that has begun stays where it is: to drop it would have to unwind its stack.
//! * A task that has not begun never will. It is refused: its closure is dropped, and who joins it gets an error.
//! * The handler of an event is not called any more. Its event is dropped, with what it holds.
//!
//! Who stops the pool takes them out when the workers have left. What comes into a queue later, out of a spawn that was under way or
//! out of the queue of a worker that was left behind, is taken out by who has put it there.

use crate::core::ready::{Ready, What};
use crate::worker::shared::Shared;
use ec_channel::HandlerCall;
use ec_tasks::{Runnable, TaskId};
use std::collections::HashSet;

/// See the module.
#[derive(Default)]
pub(crate) struct Leftovers {
    pub(crate) calls: Vec<HandlerCall>,
    tasks: Vec<Runnable>,
}

/// What holds the error of a `join`.
const WHY: &str = "the task was abandoned before it began: its runtime has been shut down";

impl Leftovers {
    /// Takes them out of the queues of a pool that has stopped, and says that there are to be no more.
    pub(crate) fn take(shared: &Shared) -> Leftovers {
        // First: who queues something either finds it so, or is seen below.
        shared.life.clear();
        let queues = &shared.queues;
        queues.hold_blockers(false);
        let mut left = Leftovers::default();
        let mut begun = Vec::new();
        let injected = std::iter::from_fn(|| queues.injector.pop_front());
        let queued = queues.stealers.iter().flat_map(|queue| std::iter::from_fn(|| queue.take(true)));
        for ready in injected.chain(queued) {
            let is_new = ready.is_new();
            match ready.into_kind() {
                What::Call(call) => left.calls.push(call),
                What::Task(task) if is_new => left.tasks.push(task),
                What::Task(task) => begun.push(Ready::task(task)),
            }
        }
        begun.into_iter().for_each(|ready| queues.injector.push_back(ready));
        left
    }

    /// Those that are to be refused.
    pub(crate) fn tasks(&self) -> HashSet<TaskId> {
        self.tasks.iter().map(|task| task.task().id()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.tasks.is_empty()
    }

    /// Where code of the program's may run, for as long as it likes.
    pub(crate) fn let_go(self) {
        // (Joiners first.)
        self.tasks.into_iter().for_each(|task| drop(task.refuse(WHY, false)));
        self.calls.into_iter().for_each(ec_tasks::drop_quietly);
    }

    /// Where no code of the program's may run: what they hold stays for good.
    pub(crate) fn leak(self) {
        self.tasks.into_iter().for_each(|task| drop(task.refuse(WHY, true)));
        self.calls.into_iter().for_each(std::mem::forget);
    }
}

/// The caller may have queued something, in a pool that was stopped meanwhile. In no crossing: code of the program's may run.
pub(crate) fn let_go_if_late(shared: &Shared) {
    if shared.life.is_cleared() {
        Leftovers::take(shared).let_go();
    }
}
