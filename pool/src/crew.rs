//! The threads of a pool: who there is, who holds which core, how many more there may be.
//!
//! A thread comes when the monitor wants a spare one (`monitor.rs`), and leaves when it has waited for a core as long as
//! `keep_alive`. So there are as many as there were blocked at once lately, and the cores: what a pool grows by is
//! the blocked threads it counts, not a guess.

use crate::core::Core;
use crate::kernel::{self, Look, Tid, Watch};
use crate::lease::Taker;
use crate::ready::Ready;
use crate::shared::Shared;
use crate::spares::{Called, Spare, Spares};
use crate::thread;
use ec_tasks::lock::Mutex;
use ec_tasks::room::{list_of, lock_with_room};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is known of a worker thread.
pub(crate) struct Facts {
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
}

pub(crate) const NO_RUN: u64 = u64::MAX;

impl Facts {
    pub(crate) fn tid(&self) -> Tid {
        self.tid.load(Ordering::Acquire)
    }

    /// By the thread itself.
    pub(crate) fn begin(&self) {
        self.tid.store(kernel::tid(), Ordering::Release);
    }
}

/// A worker thread, and its place among the spares.
pub(crate) type Member = Spare<Facts, Gift>;

/// What a spare thread is called for.
pub(crate) enum Gift {
    Core(Core),
    /// A task that has blocked its thread the last time: to be run without a core.
    Task(Ready),
}

/// See the module.
pub(crate) struct Crew {
    pub(crate) spares: Spares<Facts, Gift>,
    members: Mutex<Vec<Entry>>,
    /// As many as in `members`.
    threads: AtomicUsize,
    /// How many there have been so far, those included that could not be started.
    started: AtomicUsize,
    /// Those that are inside user code without a core: they have lost it, or began so.
    strays: AtomicUsize,
    most: usize,
    holders: Box<[Mutex<Option<Arc<Member>>>]>,
    pub(crate) counts: Counts,
}

struct Entry {
    member: Arc<Member>,
    /// `None`: it is just being started, or joined.
    thread: Option<JoinHandle<()>>,
}

/// What the crew has been through.
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

impl Crew {
    pub(crate) fn new(cores: usize, most: usize) -> Crew {
        Crew {
            spares: Spares::new(),
            members: Mutex::default(),
            threads: AtomicUsize::new(0),
            started: AtomicUsize::new(0),
            strays: AtomicUsize::new(0),
            most,
            holders: (0..cores).map(|_| Mutex::default()).collect(),
            counts: Counts::default(),
        }
    }

    /// Worker threads, whatever they do.
    pub(crate) fn threads(&self) -> usize {
        self.threads.load(Ordering::Acquire)
    }

    pub(crate) fn is_at_cap(&self) -> bool {
        self.threads() >= self.most
    }

    /// Threads that are inside user code without a core.
    pub(crate) fn strays(&self) -> usize {
        self.strays.load(Ordering::Acquire)
    }

    /// Threads that wait for a core, or soon will.
    pub(crate) fn ready(&self) -> usize {
        self.threads().saturating_sub(self.holders.len() + self.strays())
    }

    /// How many cores could still be handed over.
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.threads()) + self.ready()
    }

    /// Has the one that was called run a task without a core.
    pub(crate) fn lend(&self, called: Called<'_, Facts, Gift>, ready: Ready) {
        self.strays.fetch_add(1, Ordering::AcqRel);
        self.counts.lent.fetch_add(1, Ordering::Relaxed);
        called.give(Gift::Task(ready));
    }

    /// A thread that has lost its core is back.
    pub(crate) fn stray_is_back(&self) {
        self.strays.fetch_sub(1, Ordering::AcqRel);
    }

    /// Starts a thread, which holds `core`, or else waits for one.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn enlist(&self, shared: &Arc<Shared>, core: Option<Core>) -> io::Result<()> {
        let (holder, taker) = crate::lease::lease();
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let facts = Facts {
            number,
            name: format!("ec-worker-{number}"),
            taker,
            tid: AtomicI32::new(0),
            task: AtomicU64::new(0),
            computes: AtomicBool::new(false),
            blocks_in: AtomicU64::new(NO_RUN),
        };
        let member = Spare::new(facts);
        if let Some(core) = &core {
            drop(self.holds(core.index, &member));
        }
        let body = {
            let (shared, member) = (shared.clone(), member.clone());
            // (What is dropped at its end may be the program's.)
            move || {
                let _ = ec_tasks::catch_quietly(|| thread::work(&shared, &member, holder, core));
                ec_tasks::drop_quietly(shared);
            }
        };
        let builder = std::thread::Builder::new().name(member.info.name.clone());
        // Before it begins, for it may leave at once.
        let entry = Entry { member: member.clone(), thread: None };
        lock_with_room(&self.members, |all| all).push(entry);
        let threads = self.threads.fetch_add(1, Ordering::AcqRel) + 1;
        shared.life.worker_started();
        let thread = ec_tasks::start_thread(builder, body).inspect_err(|_| {
            shared.life.worker_gone();
            self.dismiss(&member);
        })?;
        self.counts.peak.fetch_max(threads, Ordering::Relaxed);
        let mut thread = Some(thread);
        let mut members = self.members.lock();
        if let Some(entry) = members.iter_mut().find(|entry| Arc::ptr_eq(&entry.member, &member)) {
            entry.thread = thread.take();
        }
        drop(members);
        Ok(())
    }

    /// The calling thread, `member`, ends; or it could not be started.
    pub(crate) fn dismiss(&self, member: &Arc<Member>) {
        let mut members = self.members.lock();
        let place = members.iter().position(|entry| Arc::ptr_eq(&entry.member, member));
        // (It may be on the way to being joined, at a shutdown.)
        let gone = place.map(|place| members.swap_remove(place));
        drop(members);
        if gone.is_some() {
            self.threads.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Takes the handles of all threads with their names, to join them. Those that are just being started leave by themselves.
    pub(crate) fn handles(&self) -> Vec<(Arc<Member>, JoinHandle<()>)> {
        let take = |entry: &mut Entry| entry.thread.take().map(|thread| (entry.member.clone(), thread));
        list_of(&self.members, |all| all, take)
    }

    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        list_of(&self.members, |all| all, |entry| Some(entry.member.clone()))
    }

    /// Who holds `core`.
    pub(crate) fn holder(&self, core: usize) -> Option<Arc<Member>> {
        self.holders[core].lock().clone()
    }

    /// From now on `member` holds `core`, or is about to. Gives the one before, to be dropped where an allocator may run.
    #[must_use = "to be dropped outside of crossings"]
    pub(crate) fn holds(&self, core: usize, member: &Arc<Member>) -> Option<Arc<Member>> {
        self.holders[core].lock().replace(member.clone())
    }

    /// Threads that are inside user code: with a core, or without.
    pub(crate) fn inside(&self) -> usize {
        self.count(|member| member.taker.is_out())
    }

    /// Threads that have lost their core because they computed, and go on.
    pub(crate) fn computing(&self) -> usize {
        self.count(|member| member.computes.load(Ordering::Relaxed))
    }

    /// Who has stopped computing and sleeps in the kernel now is a stray like the others.
    pub(crate) fn recount_computing(&self) {
        for member in self.members().iter().filter(|member| member.info.computes.load(Ordering::Relaxed)) {
            if Watch::of(member.info.tid()).look() == Look::Asleep {
                member.info.computes.store(false, Ordering::Relaxed);
            }
        }
    }

    fn count(&self, is: impl Fn(&Facts) -> bool) -> usize {
        self.members.lock().iter().filter(|entry| is(&entry.member.info)).count()
    }

    /// Gives the core that `take` takes from its worker, who has held it up for so long, to the one that was called. `None`: there was
    /// none to take.
    pub(crate) fn hand_over(
        &self,
        take: impl FnOnce() -> Option<Core>,
        called: Called<'_, Facts, Gift>,
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
        called.give(Gift::Core(core));
        self.counts.handed_over.fetch_add(1, Ordering::Relaxed);
        self.counts.longest_stall.fetch_max(stall.as_micros() as u64, Ordering::Relaxed);
        Some(HandedOver { core: index, _before: before })
    }
}

/// A core has changed hands. Dropped where an allocator may run.
pub(crate) struct HandedOver {
    pub(crate) core: usize,
    _before: Option<Arc<Member>>,
}
