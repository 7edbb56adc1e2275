//! A core: the right to run tasks, as a thing that can be held, handed over and left.
//!
//! It is a run queue and the number of a channel port; there are as many as the hardware runs
//! threads at once. A worker (an OS thread) *holds* a core while it runs tasks. Nothing of a core
//! refers to the thread that holds it, so it can change hands with whatever is queued in it.

use crossbeam::deque::{Injector, Steal, Stealer, Worker};
use ec_channel::HandlerCall;
use ec_tasks::Runnable;

/// What waits in a run queue.
pub(crate) enum Ready {
    /// A task that can go on.
    Task(Runnable),
    /// The handler of an event that is complete.
    Call(HandlerCall),
}

impl Ready {
    /// For what will never run (its task is abandoned): dropping a task that is suspended would
    /// have to unwind its stack, so it is left where it is.
    pub(crate) fn abandon(self) {
        std::mem::forget(self);
    }
}

/// See the module.
pub(crate) struct Core {
    /// Which core, and which port of the channel.
    pub(crate) index: usize,
    queue: Worker<Ready>,
}

impl Core {
    /// The cores of a pool, and the ends from which their queues are stolen from.
    pub(crate) fn all(count: usize) -> (Vec<Core>, Box<[Stealer<Ready>]>) {
        // First in, first out: a task that yields goes behind all others.
        let cores: Vec<_> = (0..count).map(|index| Core { index, queue: Worker::new_fifo() }).collect();
        let stealers = cores.iter().map(|core| core.queue.stealer()).collect();
        (cores, stealers)
    }

    /// To the back of the queue.
    pub(crate) fn push(&self, ready: Ready) {
        self.queue.push(ready);
    }

    /// From the front of the queue.
    pub(crate) fn pop(&self) -> Option<Ready> {
        self.queue.pop()
    }

    /// How many wait here.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes a share of what came from outside; the first of it to run at once.
    pub(crate) fn take_from(&self, injector: &Injector<Ready>) -> Option<Ready> {
        until_settled(|| injector.steal_batch_and_pop(&self.queue))
    }

    /// Takes about half of what another core has queued; the first of it to run at once.
    pub(crate) fn steal_from(&self, other: &Stealer<Ready>) -> Option<Ready> {
        until_settled(|| other.steal_batch_and_pop(&self.queue))
    }
}

/// Lost a race: somebody else took something, so there may be more.
fn until_settled(mut steal: impl FnMut() -> Steal<Ready>) -> Option<Ready> {
    loop {
        match steal() {
            Steal::Success(ready) => return Some(ready),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}
