//! The threads of a pool: who there is, who holds which core, how many more there may be.
//!
//! A thread comes when the monitor wants a spare one (`monitor.rs`). It leaves when it has waited for a core as long as `keep_alive`. So
//! there are as many as the cores, and those that were blocked at once lately. What a pool grows by is the blocked threads that it
//! counts. It is no guess.

use crate::core::Core;
use crate::core::lease::{Holder, Taker};
use crate::core::ready::Ready;
use crate::lifecycle::Lifecycle;
use crate::size::kernel::{self, Look, Tid, Watch};
use crate::size::running::InRun;
use crate::size::spares::{Called, Spare, Spares};
use ec_tasks::lock::Mutex;
use ec_tasks::room::{list_of, lock_with_room};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is known of a worker thread.
pub(crate) struct WorkerInfo {
    /// No other thread of the pool has it.
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) taker: Taker<Core>,
    tid: AtomicI32,
    /// The task that it runs, or ran last; 0 for the handler of an event.
    pub(crate) task: AtomicU64,
    /// It lost its core because it computed, and does so still.
    pub(crate) computes: AtomicBool,
    /// The run of its core in which it has said that it is about to block, and found no spare thread; or [`NO_RUN`].
    pub(crate) blocks_in: AtomicU64,
    pub(crate) in_run: InRun,
}

pub(crate) const NO_RUN: u64 = u64::MAX;

impl WorkerInfo {
    pub(crate) fn tid(&self) -> Tid {
        self.tid.load(Ordering::Acquire)
    }

    /// By the thread itself.
    pub(crate) fn begin(&self) {
        self.tid.store(kernel::tid(), Ordering::Release);
    }
}

/// A worker thread, and its place among the spares.
pub(crate) type WorkerThread = Spare<WorkerInfo, Assignment>;

/// What a spare thread is called for.
pub(crate) enum Assignment {
    Core(Core),
    /// To be run without a core: a task that has blocked its thread the last time, or anything that is ready while every core is kept.
    Task(Ready),
}

/// See the module.
pub(crate) struct Threads {
    pub(crate) spares: Spares<WorkerInfo, Assignment>,
    entries: Mutex<Vec<Entry>>,
    /// As many as in `entries`.
    threads: AtomicUsize,
    /// How many there have been so far, those included that could not be started.
    started: AtomicUsize,
    /// Those that are inside user code without a core: they have lost it, or began so.
    strays: AtomicUsize,
    most: usize,
    holders: Box<[Mutex<Option<Arc<WorkerThread>>>]>,
    pub(crate) counts: Counts,
}

struct Entry {
    worker: Arc<WorkerThread>,
    /// `None`: it is just being started, or joined.
    thread: Option<JoinHandle<()>>,
}

/// What the threads have been through.
#[derive(Default)]
pub(crate) struct Counts {
    /// Threads started beyond the cores.
    pub(crate) grown: AtomicU64,
    /// Those that have left again.
    pub(crate) shrunk: AtomicU64,
    pub(crate) handed_over: AtomicU64,
    /// Tasks whose run began without a core.
    pub(crate) lent: AtomicU64,
    /// The most threads there were at once.
    pub(crate) peak: AtomicUsize,
    pub(crate) cap_hits: AtomicU64,
    /// Threads that the operating system did not give.
    pub(crate) refused: AtomicU64,
    /// Looks of the monitor.
    pub(crate) looks: AtomicU64,
    /// The longest time that a core was held up before it was handed over, in microseconds.
    pub(crate) longest_stall: AtomicU64,
}

impl Threads {
    pub(crate) fn new(cores: usize, most: usize) -> Threads {
        Threads {
            spares: Spares::new(),
            entries: Mutex::default(),
            threads: AtomicUsize::new(0),
            started: AtomicUsize::new(0),
            strays: AtomicUsize::new(0),
            most,
            holders: (0..cores).map(|_| Mutex::default()).collect(),
            counts: Counts::default(),
        }
    }

    /// Worker threads, whatever they do.
    pub(crate) fn count(&self) -> usize {
        self.threads.load(Ordering::Acquire)
    }

    pub(crate) fn is_at_cap(&self) -> bool {
        self.count() >= self.most
    }

    /// Threads that are inside user code without a core.
    pub(crate) fn strays(&self) -> usize {
        self.strays.load(Ordering::Acquire)
    }

    /// Threads that wait for a core, or soon will.
    pub(crate) fn ready(&self) -> usize {
        self.count().saturating_sub(self.holders.len() + self.strays())
    }

    /// How many cores could still be handed over.
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.count()) + self.ready()
    }

    /// Has the one that was called run a task without a core.
    pub(crate) fn lend(&self, called: Called<'_, WorkerInfo, Assignment>, ready: Ready) {
        self.strays.fetch_add(1, Ordering::AcqRel);
        self.counts.lent.fetch_add(1, Ordering::Relaxed);
        called.give(Assignment::Task(ready));
    }

    /// A thread that has lost its core is back.
    pub(crate) fn stray_is_back(&self) {
        self.strays.fetch_sub(1, Ordering::AcqRel);
    }

    /// Starts a thread, which holds `core`, or else waits for one; `body` is what it does.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn start(
        &self,
        life: &Lifecycle,
        core: Option<Core>,
        body: impl FnOnce(&Arc<WorkerThread>, Holder<Core>, Option<Core>) + Send + 'static,
    ) -> io::Result<()> {
        let (holder, taker) = crate::core::lease::lease();
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let facts = WorkerInfo {
            number,
            name: format!("ec-worker-{number}"),
            taker,
            tid: AtomicI32::new(0),
            task: AtomicU64::new(0),
            computes: AtomicBool::new(false),
            blocks_in: AtomicU64::new(NO_RUN),
            in_run: InRun::new(),
        };
        let worker = Spare::new(facts);
        if let Some(core) = &core {
            drop(self.holds(core.index, &worker));
        }
        let body = {
            let worker = worker.clone();
            move || body(&worker, holder, core)
        };
        let builder = std::thread::Builder::new().name(worker.info.name.clone());
        // Before it begins, for it may leave at once.
        let entry = Entry { worker: worker.clone(), thread: None };
        lock_with_room(&self.entries, |all| all).push(entry);
        let threads = self.threads.fetch_add(1, Ordering::AcqRel) + 1;
        life.worker_started();
        let thread = ec_tasks::start_thread(builder, body).inspect_err(|_| {
            life.worker_gone();
            self.remove(&worker);
        })?;
        self.counts.peak.fetch_max(threads, Ordering::Relaxed);
        let mut thread = Some(thread);
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.iter_mut().find(|entry| Arc::ptr_eq(&entry.worker, &worker)) {
            entry.thread = thread.take();
        }
        drop(entries);
        Ok(())
    }

    /// The calling thread, `worker`, ends; or it could not be started.
    pub(crate) fn remove(&self, worker: &Arc<WorkerThread>) {
        let mut entries = self.entries.lock();
        let place = entries.iter().position(|entry| Arc::ptr_eq(&entry.worker, worker));
        // (It may be on the way to being joined, at a shutdown.)
        let gone = place.map(|place| entries.swap_remove(place));
        drop(entries);
        if gone.is_some() {
            self.threads.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Takes the handles of all threads with their names, to join them. Those that are just being started leave by themselves.
    pub(crate) fn handles(&self) -> Vec<(Arc<WorkerThread>, JoinHandle<()>)> {
        let take = |entry: &mut Entry| entry.thread.take().map(|thread| (entry.worker.clone(), thread));
        list_of(&self.entries, |all| all, take)
    }

    pub(crate) fn all(&self) -> Vec<Arc<WorkerThread>> {
        list_of(&self.entries, |all| all, |entry| Some(entry.worker.clone()))
    }

    /// Who holds `core`.
    pub(crate) fn worker_of(&self, core: usize) -> Option<Arc<WorkerThread>> {
        self.holders[core].lock().clone()
    }

    /// From now on `worker` holds `core`, or is about to. Gives the one before, to be dropped where an allocator may run.
    #[must_use = "to be dropped outside of crossings"]
    pub(crate) fn holds(&self, core: usize, worker: &Arc<WorkerThread>) -> Option<Arc<WorkerThread>> {
        self.holders[core].lock().replace(worker.clone())
    }

    /// Threads that are inside user code: with a core, or without.
    pub(crate) fn inside(&self) -> usize {
        self.count_of(|worker| worker.taker.is_in_user_code())
    }

    /// Threads that have lost their core because they computed, and go on.
    pub(crate) fn computing(&self) -> usize {
        self.count_of(|worker| worker.computes.load(Ordering::Relaxed))
    }

    /// Who has stopped computing and sleeps in the kernel now is a stray like the others.
    pub(crate) fn recount_computing(&self) {
        for worker in self.all().iter().filter(|worker| worker.info.computes.load(Ordering::Relaxed)) {
            if Watch::of(worker.info.tid()).look() == Look::Asleep {
                worker.info.computes.store(false, Ordering::Relaxed);
            }
        }
    }

    fn count_of(&self, is: impl Fn(&WorkerInfo) -> bool) -> usize {
        self.entries.lock().iter().filter(|entry| is(&entry.worker.info)).count()
    }

    /// Gives the core that `take` takes from its worker, who has held it up for so long, to the one that was called. `None`: there was
    /// none to take.
    pub(crate) fn hand_over(
        &self,
        take: impl FnOnce() -> Option<Core>,
        called: Called<'_, WorkerInfo, Assignment>,
        stall: Duration,
    ) -> Option<HandedOver> {
        // Before: as soon as it is taken, the worker may come back and count itself out.
        self.strays.fetch_add(1, Ordering::AcqRel);
        let Some(core) = take() else {
            self.strays.fetch_sub(1, Ordering::AcqRel);
            return None;
        };
        let index = core.index;
        let before = self.holds(index, called.spare());
        called.give(Assignment::Core(core));
        self.counts.handed_over.fetch_add(1, Ordering::Relaxed);
        self.counts.longest_stall.fetch_max(stall.as_micros() as u64, Ordering::Relaxed);
        Some(HandedOver { core: index, _before: before })
    }
}

/// A core has changed hands. Dropped where an allocator may run.
pub(crate) struct HandedOver {
    pub(crate) core: usize,
    _before: Option<Arc<WorkerThread>>,
}
