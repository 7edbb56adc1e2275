//! Forced migration, for tests: a task that becomes ready again is next run by a worker other than its last.
//!
//! A task that runs for the first time takes the ordinary way. Afterwards, whenever it is ready, it lies in a queue with the number of the
//! thread that ran it last. Every other thread takes it from there. So a worker that is blocked, perhaps by that very task, holds up
//! nothing as long as there is another one. All are woken, which costs what it costs.
//!
//! A wait may end before the task is parked. Then it stays on its worker. [`migrate_if_forced`](crate::worker::context::migrate_if_forced) makes up for
//! that in the pool's own waits.

use ec_tasks::lock::Mutex;
use ec_tasks::room::lock_with_room;
use ec_tasks::{Runnable, TaskId};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

/// Is there, or was there, such a pool in this process? Spares the others the question.
static ANY: AtomicBool = AtomicBool::new(false);

/// See the module.
pub(crate) struct Forced {
    /// Who ran each live task last.
    last: Mutex<HashMap<TaskId, usize>>,
    /// What is ready, with the worker that may not run it.
    left: Mutex<VecDeque<(usize, Runnable)>>,
}

impl Forced {
    /// For so many workers; there is no other one to go to if it is not at least two.
    pub(crate) fn new(cores: usize) -> Option<Forced> {
        if cores < 2 {
            return None;
        }
        ANY.store(true, Ordering::Relaxed);
        Some(Forced { last: Mutex::default(), left: Mutex::default() })
    }

    /// `worker` is about to run the task.
    pub(crate) fn runs(&self, id: TaskId, worker: usize) {
        lock_with_room(&self.last, |last| last).insert(id, worker);
    }

    /// The task has ended.
    pub(crate) fn forget(&self, id: TaskId) {
        self.last.lock().remove(&id);
    }

    /// Queues a task that has run before. The others are to be woken then. Gives back one that has not.
    pub(crate) fn push(&self, runnable: Runnable) -> Result<(), Runnable> {
        let last = self.last.lock().get(&runnable.task().id()).copied();
        match last {
            Some(last) => {
                lock_with_room(&self.left, |left| left).push_back((last, runnable));
                Ok(())
            }
            None => Err(runnable),
        }
    }

    /// A task that `worker` may run.
    pub(crate) fn take(&self, worker: usize) -> Option<Runnable> {
        let mut left = self.left.lock();
        let place = left.iter().position(|(last, _)| *last != worker)?;
        left.remove(place).map(|(_, runnable)| runnable)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.lock().is_empty()
    }
}

/// Is there, or was there, such a pool in this process?
#[inline]
pub(crate) fn any() -> bool {
    ANY.load(Ordering::Relaxed)
}
