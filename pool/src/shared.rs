//! What the workers of one pool share, and how a task that becomes ready finds a run queue.

#![allow(unsafe_code)]

use crate::core::{Core, Ends};
use crate::crew::Crew;
use crate::events::Listener;
use crate::forced::Forced;
use crate::idle::Idle;
use crate::lifecycle::{Count, Lifecycle};
use crate::metrics::CoreStats;
use crate::ready::{Ready, What};
use crate::run;
use crate::run_queue::list::List;
use crate::seat::{self, Seat};
use crate::watchman::Watchman;
use crossbeam::utils::CachePadded;
use ec_channel::{Completion, EventChannel, Serving};
use ec_tasks::{Runnable, Scheduler, TaskId};
use log::Level;
use std::any::Any;
use std::io;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// See the module. Tasks refer to it as their scheduler.
pub(crate) struct Shared {
    me: Weak<Shared>,
    pub(crate) channel: EventChannel,
    /// Getters of the channel do not drive its ports: the workers do.
    pub(crate) serving: Serving,
    /// Work that comes from threads that hold no core of this pool. (What all threads write has lines of its own: the rest is only
    /// read, for each task that is run or woken.)
    pub(crate) injector: CachePadded<List<Ready>>,
    pub(crate) stealers: Box<[Ends]>,
    pub(crate) stats: Box<[CachePadded<CoreStats>]>,
    pub(crate) idle: CachePadded<Idle>,
    /// Set in tests that force migration.
    pub(crate) forced: Option<Forced>,
    pub(crate) life: Lifecycle,
    /// Held by the one worker that returns surplus stack memory while the pool is idle.
    pub(crate) housekeeping: AtomicBool,
    pub(crate) crew: Crew,
    pub(crate) watchman: Watchman,
    /// Threads are scarce: no new task begins.
    pub(crate) hold_new: AtomicBool,
    pub(crate) settings: Settings,
}

/// What the builder was told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) stack_size: usize,
    pub(crate) max_threads: usize,
    pub(crate) keep_alive: std::time::Duration,
    pub(crate) force_migration: bool,
    pub(crate) monitor: bool,
    pub(crate) listener: Listener,
}

impl Shared {
    /// # Errors
    /// The channel cannot be served.
    pub(crate) fn new(
        channel: EventChannel,
        cores: usize,
        settings: Settings,
    ) -> io::Result<(Arc<Shared>, Vec<Core>)> {
        let (own, stealers) = Core::all(cores);
        // SAFETY: there is a worker for each port as long as the pool lives, and what comes of a pass is delivered.
        let serving = unsafe { channel.serve() }?;
        let shared = Arc::new_cyclic(|me| Shared {
            me: me.clone(),
            serving,
            channel,
            injector: CachePadded::new(List::new()),
            stealers,
            stats: (0..cores).map(|_| CachePadded::default()).collect(),
            idle: CachePadded::new(Idle::new(cores)),
            forced: settings.force_migration.then(|| Forced::new(cores)).flatten(),
            life: Lifecycle::new(cores),
            housekeeping: AtomicBool::new(false),
            crew: Crew::new(cores, settings.max_threads),
            watchman: Watchman::new(),
            hold_new: AtomicBool::new(false),
            settings,
        });
        Ok((shared, own))
    }

    /// The counted pointer to itself; there is one while anybody can call this.
    pub(crate) fn arc(&self) -> Option<Arc<Shared>> {
        self.me.upgrade()
    }

    /// What `ec_tasks::spawn_in` knows this pool by.
    pub(crate) fn identity(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// Counts a task where the caller is: on its core, which it keeps for so long, or elsewhere.
    fn count(&self, count: Count) {
        let on_core = |seat: &Seat| seat.with_core(|core| self.life.count(core.index, count));
        let counted = seat::here(|seat| seat.filter(|seat| self.owns(seat)).and_then(on_core));
        counted.unwrap_or_else(|| self.life.count(self.life.elsewhere(), count));
    }

    /// Counts a task that is about to be spawned; false if none may be any more. Then follows either `task_started` or
    /// `task_turned_away`.
    pub(crate) fn admit_task(&self) -> bool {
        self.count(Count::Spawned);
        if self.life.is_open() {
            return true;
        }
        self.task_turned_away();
        false
    }

    /// The task counted last was not spawned after all.
    pub(crate) fn task_turned_away(&self) {
        self.count(Count::TurnedAway);
        self.life.tell_if_closing();
    }

    /// The task counted last can be found, and run.
    pub(crate) fn task_started(&self) {
        self.count(Count::Started);
        self.life.tell_if_closing();
    }

    /// Is `seat` one of this pool's?
    pub(crate) fn owns(&self, seat: &Seat) -> bool {
        ptr::eq(self, Arc::as_ptr(&seat.shared))
    }

    /// Queues `ready` where the caller is: on its worker's core if it has one of this pool, else in
    /// the injector; and wakes a sleeper for it if nobody is looking for work.
    pub(crate) fn make_ready(&self, mut ready: Ready) {
        if let Some(forced) = &self.forced {
            match self.make_leave(forced, ready) {
                Some(other) => ready = other,
                None => return,
            }
        }
        let notify = seat::here(|seat| match seat.filter(|seat| self.owns(seat)) {
            Some(seat) => {
                if let Err(ready) = seat.push(ready) {
                    self.injector.push_back(ready);
                    return true;
                }
                if seat.asleep.get() {
                    // Pushed under the pass that sleeps: the worker is not to sleep over it.
                    seat.with_core(|core| self.serving.wake_port(core.index));
                    return false;
                }
                // (The only worker is here, and comes to it.)
                !seat.is_publishing() && self.stealers.len() > 1
            }
            None => {
                self.injector.push_back(ready);
                true
            }
        });
        if notify {
            self.notify();
        }
    }

    /// What a pass of a port has completed goes to a run queue.
    pub(crate) fn deliver(&self, completion: Completion) {
        // A raw operation's wake function is its owner's code.
        let delivered = ec_tasks::catch_quietly(|| match completion {
            Completion::Raw(operation) => operation.deliver(),
            Completion::Call(call) => self.make_ready(Ready::call(call)),
        });
        if delivered.is_none() {
            let line = || String::from("the wake function of an operation panicked");
            self.watchman.notifier.log(Level::Error, module_path!(), line);
        }
    }

    /// Migration is forced: a task that has run before waits for another worker. Gives back all else.
    #[cold]
    fn make_leave(&self, forced: &Forced, ready: Ready) -> Option<Ready> {
        if ec_tasks::forked() {
            return Some(ready);
        }
        match ready.what() {
            What::Task(runnable) => match forced.push(runnable) {
                Ok(()) => {
                    self.wake_all();
                    None
                }
                Err(new) => Some(Ready::task(new)),
            },
            What::Call(call) => Some(Ready::call(call)),
        }
    }

    /// Wakes one sleeper if nobody is searching. Called after work was made visible.
    pub(crate) fn notify(&self) {
        if let Some(index) = self.idle.notify() {
            self.serving.wake_port(index);
        }
    }

    /// Wakes one sleeper as company if only the caller is awake.
    pub(crate) fn ask_company(&self) {
        if let Some(index) = self.idle.ask_company() {
            self.serving.wake_port(index);
        }
    }

    /// May new tasks begin?
    #[inline]
    pub(crate) fn admits(&self) -> bool {
        !self.hold_new.load(Ordering::Relaxed)
    }

    /// Is there anything in any queue that may run?
    pub(crate) fn work_is_visible(&self) -> bool {
        let admit = self.admits();
        !self.injector.is_empty() || self.stealers.iter().any(|queue| !queue.is_empty(admit))
    }

    /// Takes something that may run, for somebody without a core.
    pub(crate) fn take_any(&self) -> Option<Ready> {
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

    /// Do the workers of all cores sleep?
    pub(crate) fn all_asleep(&self) -> bool {
        self.asleep() == self.stealers.len()
    }

    /// Do the workers of all cores but the caller's sleep?
    pub(crate) fn others_sleep(&self) -> bool {
        self.asleep() + 1 >= self.stealers.len()
    }

    fn asleep(&self) -> usize {
        self.idle.counts().0
    }

    /// Everybody up: there is something to see for each.
    pub(crate) fn wake_all(&self) {
        (0..self.stealers.len()).for_each(|port| self.serving.wake_port(port));
    }
}

// SAFETY: its workers run what is queued until the pool is stopped, and keep it then; what is called here is the pool's own.
unsafe impl Scheduler for Shared {
    fn schedule(&self, runnable: Runnable) {
        self.make_ready(Ready::task(runnable));
    }

    fn task_finished(&self, id: TaskId) {
        if let Some(forced) = &self.forced {
            forced.forget(id);
        }
        if self.life.is_open() {
            // No insider: that one would have closed the pool.
            self.count(Count::Finished);
            self.life.tell_if_closing();
        } else {
            self.life.task_finished(id);
        }
    }

    fn note(&self) -> bool {
        seat::here(|seat| seat.is_some_and(run::has_blocked))
    }

    fn let_go(self: Arc<Self>) {
        let Some(last) = Arc::into_inner(self) else { return };
        // (Without a thread it is leaked, rather than dropped here.)
        let last = ManuallyDrop::new(last);
        let body = move || ec_tasks::drop_quietly(ManuallyDrop::into_inner(last));
        let builder = std::thread::Builder::new().name(String::from("ec-last"));
        let _ = ec_tasks::start_thread(builder, body);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
