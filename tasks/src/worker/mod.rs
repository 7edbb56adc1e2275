//! What a worker thread has in stock for the tasks that come and go on it: ids, counted references to the scheduler,
//! stacks, the memory of tasks that are gone. So starting and ending a task touches as little as possible of what other workers write.

#![allow(unsafe_code)]

mod float;
mod guard;
mod overflow;
mod schedule;

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use crate::here;
use crate::stack::StackCache;
use crate::task::{Header, IDS_AT_A_TIME, MemoryCache, Runnable, Scheduler, TaskId};
use crate::util::forked::forked;
use crate::util::fp;

pub use float::keeping_float_control;
pub use guard::{WorkerGuard, prepare_worker_thread};
pub(crate) use schedule::schedule;

/// See the module. It belongs to the thread's `WorkerGuard`.
pub(crate) struct WorkerLocal {
    /// The worker's own scheduler.
    held: ManuallyDrop<Arc<dyn Scheduler>>,
    /// So many more references to it are this worker's, to be given to tasks.
    references: Cell<usize>,
    /// So many are in the midst of using this: runs of tasks on this thread, calls of `schedule` by what is held.
    uses: Cell<usize>,
    /// Numbers for tasks: the next, and the first that is not ours any more.
    ids: Cell<(u64, u64)>,
    pub(crate) cache: StackCache,
    pub(crate) cells: MemoryCache,
    /// The thread's part of the floating-point unit.
    pub(crate) control: fp::Control,
}

/// References kept for later tasks at most.
const MOST_REFERENCES: usize = 4096;

impl WorkerLocal {
    pub(crate) fn new(held: Arc<dyn Scheduler>) -> WorkerLocal {
        WorkerLocal {
            held: ManuallyDrop::new(held),
            references: Cell::new(0),
            uses: Cell::new(0),
            ids: Cell::new((0, 0)),
            cache: StackCache::new(),
            cells: MemoryCache::new(),
            control: fp::Control::in_force(),
        }
    }

    /// What this worker has, or the one that runs this task; null: it is none. Not to be kept across a suspension.
    #[inline]
    pub(crate) fn of_this_thread() -> *const WorkerLocal {
        if forked() { ptr::null() } else { here::worker().cast() }
    }

    /// What this thread has, if it is a worker.
    ///
    /// # Panics
    /// In a task.
    #[inline]
    pub(crate) fn outside_of_tasks() -> *const WorkerLocal {
        here::outside_of_tasks().cast()
    }

    /// As [`here::enter`], for `task`. Gives what [`outside_of_tasks`](WorkerLocal::outside_of_tasks) does.
    ///
    /// # Panics
    /// In a task.
    ///
    /// # Safety
    /// As there.
    #[inline]
    pub(crate) unsafe fn enter(
        task: NonNull<Header>,
        context: *const (),
        thread_pointer: usize,
    ) -> *const WorkerLocal {
        // SAFETY: the caller's promise.
        unsafe { here::enter(task.as_ptr().cast(), context, thread_pointer).cast() }
    }

    /// Calls `f` with the stock of the worker that runs the caller. `f` must not suspend: the caller's task would go on
    /// elsewhere.
    #[inline]
    pub(crate) fn here<R>(f: impl FnOnce(Option<&WorkerLocal>) -> R) -> R {
        // SAFETY: a worker does not go on, nor end, while the caller runs on it; `f` cannot keep the reference.
        f(unsafe { WorkerLocal::of_this_thread().as_ref() })
    }

    fn holds(&self, scheduler: *const ()) -> bool {
        ptr::addr_eq(Arc::as_ptr(&self.held), scheduler)
    }

    /// A reference to the scheduler at address `scheduler`, if there is one in stock.
    #[inline]
    pub(crate) fn reference(&self, scheduler: *const ()) -> Option<Arc<dyn Scheduler>> {
        let references = self.references.get();
        if references == 0 || !self.holds(scheduler) {
            return None;
        }
        self.references.set(references - 1);
        // SAFETY: one of those that this worker owns besides `held`.
        Some(unsafe { Arc::from_raw(Arc::as_ptr(&self.held)) })
    }

    /// Takes a reference into the stock; gives it back if it is of no use there.
    #[inline]
    pub(crate) fn keep_reference(&self, reference: Arc<dyn Scheduler>) -> Option<Arc<dyn Scheduler>> {
        let references = self.references.get();
        if references >= MOST_REFERENCES || !self.holds(Arc::as_ptr(&reference).cast()) {
            return Some(reference);
        }
        self.references.set(references + 1);
        let _ = Arc::into_raw(reference);
        None
    }

    /// A number that no task has had.
    #[inline]
    pub(crate) fn next_id(&self) -> TaskId {
        let (mut next, mut end) = self.ids.get();
        if next == end {
            next = TaskId::reserve(IDS_AT_A_TIME);
            end = next + IDS_AT_A_TIME;
        }
        self.ids.set((next + 1, end));
        TaskId::from_reserved(next)
    }

    /// Hands `runnable` to the worker's own scheduler, if it is that one's; else gives it back.
    #[inline]
    pub(crate) fn schedule(&self, scheduler: *const (), runnable: Runnable) -> Result<(), Runnable> {
        if !self.holds(scheduler) {
            return Err(runnable);
        }
        let _use = self.in_use();
        self.held.schedule(runnable);
        Ok(())
    }

    /// It is in use as long as the result lives: a guard that is dropped meanwhile leaks it.
    #[inline]
    pub(crate) fn in_use(&self) -> InUse<'_> {
        self.uses.set(self.uses.get() + 1);
        InUse(&self.uses)
    }

    /// Is something of it in use on this thread?
    pub(crate) fn is_in_use(&self) -> bool {
        self.uses.get() != 0
    }
}

/// See [`WorkerLocal::in_use`].
pub(crate) struct InUse<'a>(&'a Cell<usize>);

impl Drop for InUse<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Drop for WorkerLocal {
    fn drop(&mut self) {
        for _ in 0..self.references.replace(0) {
            // SAFETY: one of ours, and not the last: `held` is there.
            unsafe { Arc::decrement_strong_count(Arc::as_ptr(&self.held)) };
        }
        // SAFETY: not used again.
        unsafe { ManuallyDrop::drop(&mut self.held) };
    }
}

/// To be called by a worker that is about to sleep: what it keeps for the next task goes where others find it, and
/// where [`trim_stacks`](crate::trim_stacks) looks for memory to return.
pub fn worker_sleeps() {
    WorkerLocal::here(|local| {
        if let Some(local) = local {
            local.cache.give_slot_back();
        }
    });
}
