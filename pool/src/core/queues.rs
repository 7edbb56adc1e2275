//! The run queues of a pool, as a thread sees them that holds no core: the injector, the stealers of the cores' own, and whether new
//! tasks may begin, and those go on that have blocked their threads.

use crate::core::Stealer;
use crate::core::ready::Ready;
use crate::core::run_queue::list::List;
use crate::core::stats::CoreStats;
use crate::sync::Mutex;
use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicBool, Ordering};

/// See the module.
pub(crate) struct Queues {
    /// Work that comes from threads that hold no core of this pool. (What all threads write has lines of its own: the rest is only
    /// read, for each task that is run or woken.)
    pub(crate) injector: CachePadded<List<Ready>>,
    pub(crate) stealers: Box<[Stealer]>,
    pub(crate) stats: Box<[CachePadded<CoreStats>]>,
    /// Threads are scarce: no new task begins.
    new_tasks_held: AtomicBool,
    /// It is new tasks' turn: none goes on that has blocked its thread in its last run. Written under the lock of `aside`.
    blockers_held: AtomicBool,
    /// Those that have come since.
    aside: Mutex<List<Ready>>,
}

impl Queues {
    pub(crate) fn new(stealers: Box<[Stealer]>) -> Queues {
        Queues {
            injector: CachePadded::new(List::new()),
            stats: stealers.iter().map(|_| CachePadded::default()).collect(),
            stealers,
            new_tasks_held: AtomicBool::new(false),
            blockers_held: AtomicBool::new(false),
            aside: Mutex::new(List::new()),
        }
    }

    /// How many cores there are.
    #[inline]
    pub(crate) fn cores(&self) -> usize {
        self.stealers.len()
    }

    /// May new tasks begin?
    #[inline]
    pub(crate) fn admits(&self) -> bool {
        !self.new_tasks_held.load(Ordering::Relaxed)
    }

    /// Holds new tasks, or lets them begin; true if it was the other way before.
    pub(crate) fn hold_new_tasks(&self, hold: bool) -> bool {
        self.new_tasks_held.swap(hold, Ordering::Relaxed) != hold
    }

    /// Does a new task wait, or anything from outside?
    pub(crate) fn new_tasks_wait(&self) -> bool {
        !self.injector.is_empty() || self.stealers.iter().any(Stealer::has_new)
    }

    /// May tasks go on that have blocked their threads?
    pub(crate) fn lets_blockers_go_on(&self) -> bool {
        !self.blockers_held.load(Ordering::Relaxed)
    }

    /// Holds tasks that have blocked their threads, or lets them go on: all that were put aside are in the injector then.
    pub(crate) fn hold_blockers(&self, hold: bool) {
        let aside = self.aside.lock();
        self.blockers_held.store(hold, Ordering::Relaxed);
        if !hold {
            std::iter::from_fn(|| aside.pop_front()).for_each(|ready| self.injector.push_back(ready));
        }
    }

    /// Gives `ready` back, unless it has blocked its thread and such ones are held: then it is put aside.
    pub(crate) fn unless_held(&self, ready: Ready) -> Option<Ready> {
        if self.lets_blockers_go_on() || !ready.has_blocked() {
            return Some(ready);
        }
        let aside = self.aside.lock();
        // (It may be over just now.)
        if self.lets_blockers_go_on() {
            return Some(ready);
        }
        aside.push_back(ready);
        None
    }

    /// Is there anything in any queue that may run?
    pub(crate) fn work_is_visible(&self) -> bool {
        let admit = self.admits();
        !self.injector.is_empty() || self.stealers.iter().any(|queue| !queue.is_empty(admit))
    }

    /// Takes something that may run, for somebody without a core.
    pub(crate) fn take_any(&self) -> Option<Ready> {
        self.take_admitted().and_then(|ready| self.unless_held(ready))
    }

    fn take_admitted(&self) -> Option<Ready> {
        let admit = self.admits();
        let injected = self.injector.pop_front();
        let queued = || self.stealers.iter().find_map(|queue| queue.take(admit));
        // (Who is new and not admitted goes to the end, whatever queue it was in.)
        match injected.or_else(queued)? {
            ready if admit || !ready.is_new() => Some(ready),
            new => {
                self.injector.push_back(new);
                queued()
            }
        }
    }
}
