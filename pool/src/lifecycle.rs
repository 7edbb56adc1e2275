//! Which part of its life a pool is in, and how many tasks live.
//!
//! ```text
//!  open ──► closing ─────────► stopped ───────────────────► done
//!           nothing is spawned  workers leave their loops;   they have been joined,
//!           any more; tasks     what is still queued stays   or were left behind
//!           are cancelled       where it is
//! ```
//! A spawn counts the task, and then reads the state. A close writes the state, and then reads the count. So one of the two sees the
//! other. There are two more counts: of the tasks that have been queued, and of those that have ended. They are written so often that
//! nobody waits until others can see them. So whoever waits for them looks again now and then.

use crossbeam::utils::CachePadded;
use ec_tasks::TaskId;
use ec_tasks::lock::{Condvar, Mutex};
use ec_tasks::room::{list_of, lock_with_room};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const OPEN: u8 = 0;
const CLOSING: u8 = 1;
const STOPPED: u8 = 2;

/// Only while somebody waits for the pool's end.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// See the module.
pub(crate) struct Lifecycle {
    state: AtomicU8,
    /// One for each core, and one for all other threads: those who count seldom meet.
    counts: Box<[CachePadded<TaskCounts>]>,
    running_workers: AtomicUsize,
    closing: Mutex<Closing>,
    changed: Condvar,
}

/// What is counted of a task.
#[derive(Clone, Copy)]
pub(crate) enum Count {
    /// It is about to be spawned.
    Spawned,
    /// It was not spawned after all.
    TurnedAway,
    /// It can be found, and run.
    Started,
    /// It has ended.
    Finished,
}

#[derive(Default)]
struct TaskCounts {
    spawned: AtomicU64,
    /// So many of the spawned ones are queued (or have ended): the rest is being spawned at this moment.
    started: AtomicU64,
    finished: AtomicU64,
}

/// What only matters once the end has begun.
#[derive(Default)]
struct Closing {
    /// Tasks of this pool that have called `shutdown` themselves: they do not wait for one another.
    insiders: Vec<TaskId>,
    /// Somebody has taken it on to stop the workers.
    claimed: bool,
    /// The workers have gone, or were left behind.
    done: bool,
}

impl Lifecycle {
    pub(crate) fn new(cores: usize) -> Lifecycle {
        Lifecycle {
            state: AtomicU8::new(OPEN),
            counts: (0..=cores).map(|_| CachePadded::default()).collect(),
            running_workers: AtomicUsize::new(0),
            closing: Mutex::new(Closing::default()),
            changed: Condvar::new(),
        }
    }

    /// The shard of those who hold no core.
    pub(crate) fn elsewhere(&self) -> usize {
        self.counts.len() - 1
    }

    /// Counts where the caller is at the moment: on a core that it holds, or [elsewhere](Self::elsewhere). Called inside crossings.
    pub(crate) fn count(&self, shard: usize, what: Count) {
        let counts = &self.counts[shard];
        let count = match what {
            // The state is read next: see the module.
            Count::Spawned => {
                counts.spawned.fetch_add(1, Ordering::SeqCst);
                return;
            }
            // (Elsewhere than it was counted, perhaps: it is the sum that says something.)
            Count::TurnedAway => {
                counts.spawned.fetch_sub(1, Ordering::SeqCst);
                return;
            }
            Count::Started => &counts.started,
            Count::Finished => &counts.finished,
        };
        if shard == self.elsewhere() {
            count.fetch_add(1, Ordering::SeqCst);
        } else {
            // Whoever holds the core is alone in writing it.
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
        }
    }

    fn sum(&self, of: fn(&TaskCounts) -> &AtomicU64) -> u64 {
        self.counts.iter().fold(0, |sum, counts| sum.wrapping_add(of(counts).load(Ordering::SeqCst)))
    }

    /// A task has ended while the pool ends.
    pub(crate) fn task_finished(&self, id: TaskId) {
        let mut closing = self.closing.lock();
        // Both in one: an insider that counts as finished as well would make up for another that lives.
        closing.insiders.retain(|insider| *insider != id);
        self.count(self.elsewhere(), Count::Finished);
        drop(closing);
        self.changed.notify_all();
    }

    /// Something was counted: whoever waits for the end looks again.
    pub(crate) fn tell_if_closing(&self) {
        if !self.is_open() {
            // Through the lock, so that a waiter is either before its look at the counts or asleep.
            drop(self.closing.lock());
            self.changed.notify_all();
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::SeqCst) == OPEN
    }

    /// Do workers leave their loops?
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.load(Ordering::SeqCst) == STOPPED
    }

    /// Tasks spawned and finished so far. Read in the order that never shows more finished than spawned.
    pub(crate) fn tasks(&self) -> (u64, u64) {
        let finished = self.sum(|counts| &counts.finished);
        (self.sum(|counts| &counts.spawned).max(finished), finished)
    }

    fn live(&self) -> u64 {
        let (spawned, finished) = self.tasks();
        spawned - finished
    }

    /// No new tasks from now on.
    pub(crate) fn close(&self) {
        let _ = self.state.compare_exchange(OPEN, CLOSING, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// The workers are to go.
    pub(crate) fn stop(&self) {
        self.state.store(STOPPED, Ordering::SeqCst);
    }

    /// Task `id` waits for the end of the others.
    pub(crate) fn enter(&self, id: TaskId) {
        let mut closing = lock_with_room(&self.closing, |closing| &mut closing.insiders);
        if !closing.insiders.contains(&id) {
            closing.insiders.push(id);
        }
        drop(closing);
        self.changed.notify_all();
    }

    /// The tasks that wait for the end of the others.
    pub(crate) fn insiders(&self) -> Vec<TaskId> {
        list_of(&self.closing, |closing| &mut closing.insiders, |id| Some(*id))
    }

    /// Waits until all tasks have ended; false if `deadline` came first, or another shutdown whose grace was shorter: it stops the
    /// workers, so that what lives then does not end any more.
    pub(crate) fn wait_for_tasks(&self, deadline: Option<Instant>) -> bool {
        self.wait(deadline, |closing| closing.claimed || self.live() == 0) && self.live() == 0
    }

    /// As [`wait_for_tasks`](Self::wait_for_tasks), for all but those inside `shutdown`.
    pub(crate) fn wait_for_outsiders(&self, deadline: Option<Instant>) -> bool {
        let ended = |closing: &Closing| self.live() <= closing.insiders.len() as u64;
        self.wait(deadline, |closing| closing.claimed || ended(closing)) && ended(&self.closing.lock())
    }

    /// Waits until the tasks inside `shutdown` have ended too, or never will.
    pub(crate) fn wait_for_insiders(&self) {
        self.wait(None, |closing| closing.claimed || closing.insiders.is_empty());
    }

    /// Waits until no task is being spawned; false if `deadline` came first. Once the pool is closed that holds for good.
    pub(crate) fn wait_for_spawns(&self, deadline: Option<Instant>) -> bool {
        // In this order: never more started than spawned.
        let under_way = || {
            let started = self.sum(|counts| &counts.started);
            self.sum(|counts| &counts.spawned) > started
        };
        self.wait(deadline, |_| !under_way())
    }

    /// Takes it on to stop the workers; false if another does that.
    pub(crate) fn claim(&self) -> bool {
        let others = std::mem::replace(&mut self.closing.lock().claimed, true);
        self.changed.notify_all();
        !others
    }

    /// The shutdown is complete.
    pub(crate) fn finish(&self) {
        self.closing.lock().done = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_done(&self) -> bool {
        self.closing.lock().done
    }

    /// Waits until another's shutdown is complete.
    pub(crate) fn wait_until_done(&self, deadline: Option<Instant>) -> bool {
        self.wait(deadline, |closing| closing.done)
    }

    pub(crate) fn worker_started(&self) {
        self.running_workers.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn worker_gone(&self) {
        self.running_workers.fetch_sub(1, Ordering::SeqCst);
        drop(self.closing.lock());
        self.changed.notify_all();
    }

    pub(crate) fn running_workers(&self) -> usize {
        self.running_workers.load(Ordering::SeqCst)
    }

    /// Waits until `settled` says so; woken whenever a task or a worker ends.
    pub(crate) fn wait_for(&self, deadline: Option<Instant>, settled: impl Fn() -> bool) -> bool {
        self.wait(deadline, |_| settled())
    }

    fn wait(&self, deadline: Option<Instant>, settled: impl Fn(&Closing) -> bool) -> bool {
        let mut closing = self.closing.lock();
        while !settled(&closing) {
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            let look_again = now + LOOK_AGAIN;
            self.changed.wait_until(&mut closing, deadline.map_or(look_again, |at| at.min(look_again)));
        }
        true
    }
}
