//! Which part of its life a pool is in, and how many tasks live.
//!
//! ```text
//!  open ──► closing ─────────► stopped ───────────────────► done
//!           nothing is spawned  workers leave their loops;   they have been joined,
//!           any more; tasks     what is still queued stays   or were left behind
//!           are cancelled       where it is, until the
//!                               queues are cleared
//! ```
//! A spawn counts the task, and then reads the state. A close writes the state, and then reads the count. So one of the two sees the
//! other. There are two more counts: of the tasks that have been queued, and of those that have ended. They are written so often that
//! nobody waits until others can see them. So whoever waits for them looks again now and then.

use crate::awaited::Awaited;
use crossbeam::utils::CachePadded;
use ec_tasks::TaskId;
use ec_tasks::lock::{Condvar, Mutex};
use ec_tasks::room::{list_of, lock_with_room};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const OPEN: u8 = 0;
const CLOSING: u8 = 1;
const STOPPED: u8 = 2;
/// Nothing is to wait in a queue any more that has not begun.
const CLEARED: u8 = 3;

/// Only while somebody waits for the tasks' end. What was missed was counted just when the pool was closed: so each look comes later.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const LOOK_SELDOM: Duration = Duration::from_millis(500);

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
    /// The shutdowns that tasks of this pool wait for, of this one and of others.
    awaited: Vec<Arc<Awaited>>,
    /// The grace is over: nobody waits in there any more.
    hurried: bool,
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
        self.state.load(Ordering::SeqCst) >= STOPPED
    }

    /// Has what was queued and had not begun been taken out? Who queues more of it, or puts it back, takes it out himself.
    pub(crate) fn is_cleared(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLEARED
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

    /// From now on [`is_cleared`](Self::is_cleared).
    pub(crate) fn clear(&self) {
        self.state.store(CLEARED, Ordering::SeqCst);
    }

    /// A task of this pool waits for a shutdown.
    pub(crate) fn awaits(&self, awaited: &Arc<Awaited>) {
        let mine = awaited.clone();
        let mut closing = lock_with_room(&self.closing, |closing| &mut closing.awaited);
        closing.awaited.push(mine);
        let hurried = closing.hurried;
        drop(closing);
        if hurried {
            awaited.hurry();
        }
    }

    /// It does not any more.
    pub(crate) fn has_awaited(&self, awaited: &Arc<Awaited>) {
        let mut closing = self.closing.lock();
        let place = closing.awaited.iter().position(|other| Arc::ptr_eq(other, awaited));
        let mine = place.map(|place| closing.awaited.swap_remove(place));
        drop(closing);
        drop(mine);
    }

    /// Those for which tasks of this pool wait.
    pub(crate) fn awaited(&self) -> Vec<Arc<Awaited>> {
        list_of(&self.closing, |closing| &mut closing.awaited, |awaited| Some(awaited.clone()))
    }

    /// The tasks are about to be abandoned: they do not wait for a shutdown any more. False: none does.
    pub(crate) fn hurry(&self) -> bool {
        self.closing.lock().hurried = true;
        let awaited = self.awaited();
        awaited.iter().for_each(|awaited| awaited.hurry());
        !awaited.is_empty()
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
    /// With `but_insiders`, those inside `shutdown` are not waited for.
    pub(crate) fn wait_for_tasks(&self, deadline: Option<Instant>, but_insiders: bool) -> bool {
        self.wait(deadline, |closing| closing.claimed || self.have_ended(closing, but_insiders))
            && self.all_ended(but_insiders)
    }

    /// Have all tasks ended? With `but_insiders`, those inside `shutdown` do not count.
    pub(crate) fn all_ended(&self, but_insiders: bool) -> bool {
        self.have_ended(&self.closing.lock(), but_insiders)
    }

    fn have_ended(&self, closing: &Closing, but_insiders: bool) -> bool {
        let spared = if but_insiders { closing.insiders.len() as u64 } else { 0 };
        self.live() <= spared
    }

    /// Waits until the tasks inside `shutdown` have ended too, or never will.
    pub(crate) fn wait_for_insiders(&self) {
        let mut closing = self.closing.lock();
        // (Both change under the lock, so there is no need to look now and then.)
        while !closing.claimed && !closing.insiders.is_empty() {
            self.changed.wait(&mut closing);
        }
    }

    /// Is a task just being spawned? Once the pool is closed, a no holds for good.
    pub(crate) fn is_spawning(&self) -> bool {
        // In this order: never more started than spawned.
        let started = self.sum(|counts| &counts.started);
        self.sum(|counts| &counts.spawned) > started
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
    }

    pub(crate) fn is_done(&self) -> bool {
        self.closing.lock().done
    }

    pub(crate) fn worker_started(&self) {
        self.running_workers.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn worker_gone(&self) {
        self.running_workers.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn running_workers(&self) -> usize {
        self.running_workers.load(Ordering::SeqCst)
    }

    fn wait(&self, deadline: Option<Instant>, settled: impl Fn(&Closing) -> bool) -> bool {
        let mut closing = self.closing.lock();
        let mut pause = LOOK_AGAIN;
        while !settled(&closing) {
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            let look_again = now + pause;
            pause = (2 * pause).min(LOOK_SELDOM);
            self.changed.wait_until(&mut closing, deadline.map_or(look_again, |at| at.min(look_again)));
        }
        true
    }
}
