//! The monitor: a thread that sees to it that a blocked thread costs the pool a thread, and not a core.
//!
//! It looks at the cores every now and then. If a core's worker is in the same run as at the look before, the core is *held up*.
//!
//! * If the worker sleeps in the kernel (at two looks in one run), its core is handed over to a spare thread, with its run queue and its
//!   port. It does not matter whether work waits: the port's timers and connections need somebody, too.
//! * If the worker computes, its core is handed over after 10 ms of CPU time. The kernel then shares the CPUs among the threads.
//!   There are about as many such strays as cores, since more would not compute faster. (A worker may lose its core because it slept, and
//!   compute afterwards in the same run. It is not counted: it shares the CPUs with all others, and new tasks need not wait for it.)
//! * What is seen of each core, and what is made of it, is in `looks.rs`.
//! * Until then, and where a core cannot be handed over, the monitor itself looks after the port.
//! * A worker may have entered user code before the kernel refused the barrier. It keeps its core until it comes back (`barrier_refused.rs`).
//!
//! A worker that has lost its core goes on with its task until that suspends. Then it becomes a spare. If the task slept, its next run
//! begins on a spare thread (`worker/run.rs`).
//!
//! **Since when.** Each look is a tick of the coarse clock (`ec_tasks::coarse`). The monitor notes of each worker since when it has seen it in its
//! run (`running.rs`). So a dump knows that, and no run reads a clock.
//!
//! **How often.** While cores are handed over it looks every [`LOOK_IN_TROUBLE`]; then less and less often, down to every [`LOOK_AT_REST`] ([`LOOK_HELD_UP`]
//! while a core is). When all cores sleep it does not look at all: the first that has something to run calls it (`monitor_thread.rs`).
//!
//! **How many.** The first [`AT_ONCE`]th part of the threads comes as fast as it is needed. After that one comes every [`GROW_EVERY`]. When
//! threads become scarce, or many strays compute, no new task begins (`admission.rs`).

use crate::size::admission::Admission;
use crate::size::barrier_refused;
use crate::size::events::PoolEvent;
use crate::size::host::Host;
use crate::size::looks::{Looks, Why};
use crate::size::threads::Threads;
use ec_channel::Completions;
use ec_tasks::coarse;
use log::Level;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Between two looks, while cores are handed over.
const LOOK_IN_TROUBLE: Duration = Duration::from_micros(100);
/// Between two looks, when nothing was handed over lately. (Half as long costs a busy server two hundredths: each time, somebody who
/// works loses the CPU.)
const LOOK_AT_REST: Duration = Duration::from_millis(4);
/// Between two looks, at most, while a core is held up.
const LOOK_HELD_UP: Duration = Duration::from_millis(2);
/// So long after a hand-over the monitor still looks often.
const TROUBLE: Duration = Duration::from_millis(100);
/// Between two looks at a worker that seems to sleep: while cores are handed over; and otherwise, when few of the short sleeps
/// are worth a thread.
const CONFIRM: Duration = Duration::from_micros(50);
const CONFIRM_AT_REST: Duration = Duration::from_micros(200);
/// One part of so many threads, beyond the cores, comes at once.
const AT_ONCE: usize = 4;
/// After that, one in this time.
const GROW_EVERY: Duration = Duration::from_millis(1);
/// After the operating system has refused a thread.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// So many looks that find all cores asleep come before the monitor sleeps.
const IDLE_LOOKS: u32 = 8;

/// Why to look again at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Suspicion {
    None,
    /// Somebody seems to sleep. (Most sleeps are over by then, and are not worth a thread.)
    Sleeps,
    /// A core is to be handed over as soon as there is a thread.
    Lacks,
}

/// What came of a hand-over.
enum Done {
    Yes,
    /// There is no spare thread at the moment.
    NoThread,
    /// The worker keeps its core.
    No,
    /// Until it comes back at least.
    Kept,
}

pub(crate) struct Monitor<H> {
    host: Arc<H>,
    looks: Looks,
    /// At this look, on the coarse clock.
    ticked: u64,
    out: Completions,
    every: Duration,
    first: usize,
    trouble: Option<Instant>,
    idle_looks: u32,
    /// When a thread was started beyond those that come at once, or refused.
    grown: Option<Instant>,
    thread_refused: Option<Instant>,
    admission: Admission,
}

impl<H: Host> Monitor<H> {
    fn new(host: Arc<H>) -> Monitor<H> {
        // Or the kernel would make 150 us of 100.
        let _ = nix::sys::prctl::set_timerslack(1_000);
        Monitor {
            looks: Looks::new(host.queues().cores()),
            host,
            ticked: coarse::tick(),
            out: Completions::new(),
            every: LOOK_AT_REST,
            first: 0,
            trouble: None,
            idle_looks: 0,
            grown: None,
            thread_refused: None,
            admission: Admission::default(),
        }
    }

    fn threads(&self) -> &Threads {
        self.host.threads()
    }

    /// Starts the monitor's thread.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn start(host: &Arc<H>) -> io::Result<()> {
        let body = {
            let host = host.clone();
            move || {
                while ec_tasks::catch_quietly(|| Monitor::new(host.clone()).run()).is_none() {
                    let line = || String::from("a panic reached the monitor of a pool; it goes on");
                    log(&*host, Level::Error, line);
                }
                // (With the last reference to the pool goes its listener.)
                ec_tasks::drop_quietly(host);
            }
        };
        let builder = std::thread::Builder::new().name(String::from("ec-monitor"));
        host.monitor().begins(ec_tasks::start_thread(builder, body)?);
        Ok(())
    }

    /// Until the pool is stopped.
    fn run(&mut self) {
        while !self.host.life().is_stopped() {
            let now = Instant::now();
            self.ticked = coarse::tick();
            self.threads().counts.looks.fetch_add(1, Ordering::Relaxed);
            let suspicion = self.look_round(now);
            barrier_refused::tell(&*self.host);
            let changed = self.admission.decide(&*self.host, now);
            // Before they are missed; but a single task that blocks now and then brings one thread, not two.
            let ahead = (self.threads().strays() / 2).min(2 * self.looks.cores());
            self.trouble = self.trouble.filter(|at| now.duration_since(*at) < TROUBLE);
            let wanted = match self.trouble {
                _ if suspicion == Suspicion::Lacks => ahead.max(1),
                Some(_) => ahead,
                None => 0,
            };
            self.ready_spares(wanted, now);
            if suspicion != Suspicion::None {
                self.idle_looks = 0;
                let soon = self.trouble.is_some() || suspicion == Suspicion::Lacks;
                std::thread::park_timeout(if soon { CONFIRM } else { CONFIRM_AT_REST });
                continue;
            }
            if let Some(at) = self.trouble {
                // Who has just taken a core over may well block, too.
                self.every = if at == now { CONFIRM } else { LOOK_IN_TROUBLE };
            } else {
                let held_up = (0..self.looks.cores()).any(|core| self.looks.is_held_up(core));
                self.every = (2 * self.every).min(if held_up { LOOK_HELD_UP } else { LOOK_AT_REST });
            }
            // (Who comes back just when new tasks are held, or no more, may have seen it as it was: one more look.)
            self.idle_looks = if self.host.idle().all_asleep() && !changed { self.idle_looks + 1 } else { 0 };
            // (While strays compute the process is not idle anyway, and exceptions come due; so does the end of a turn.)
            if self.idle_looks > IDLE_LOOKS && !self.admission.has_due() {
                self.looks.forget_all();
                self.ready_spares(0, now);
                self.host.monitor().sleep(|| self.host.idle().all_asleep() && !self.host.life().is_stopped());
                self.every = LOOK_AT_REST;
                self.idle_looks = 0;
            } else {
                std::thread::park_timeout(self.every);
            }
        }
    }

    /// Looks at each core.
    fn look_round(&mut self, now: Instant) -> Suspicion {
        let mut suspicion = Suspicion::None;
        let mut kept = 0;
        self.looks.look(&*self.host, self.ticked, now);
        // Another one first each time: who comes first gets the spare thread.
        self.first = (self.first + 1) % self.looks.cores();
        for core in (self.first..self.looks.cores()).chain(0..self.first) {
            match self.looks.why(&*self.host, core, now) {
                Some(why) => {
                    match self.hand_over(core, why, now) {
                        Done::Yes => {
                            self.trouble = Some(now);
                            self.looks.forget(core);
                            continue;
                        }
                        Done::NoThread => suspicion = suspicion.max(self.lacks_thread(now)),
                        Done::No => {}
                        Done::Kept => kept += 1,
                    }
                    self.look_after_port(core);
                }
                None => {
                    if self.looks.seems_to_sleep(core, now) {
                        suspicion = suspicion.max(Suspicion::Sleeps);
                    }
                    if self.looks.is_held_up(core) {
                        self.look_after_port(core);
                    }
                }
            }
        }
        if kept == self.looks.cores() {
            let lent = barrier_refused::lend(&*self.host);
            self.trouble = if lent.any { Some(now) } else { self.trouble };
            if lent.more {
                suspicion = suspicion.max(self.lacks_thread(now));
            }
        }
        suspicion
    }

    /// Gives the core to a spare thread.
    fn hand_over(&mut self, core: usize, why: Why, now: Instant) -> Done {
        let host = self.host.clone();
        let threads = host.threads();
        let Some(holder) = threads.worker_of(core) else { return Done::No };
        if barrier_refused::keeps(&holder) {
            return Done::Kept;
        }
        if why == Why::Computes {
            let computing = self.threads().computing();
            let most = self.admission.most_computing(self.looks.cores());
            if computing >= most {
                return Done::No;
            }
            if computing + 1 >= most {
                // Before the core has a new holder, who would begin one more.
                host.queues().hold_new_tasks(true);
            }
        }
        let Some(called) = threads.spares.call() else {
            return Done::NoThread;
        };
        let stall = self.looks.lasted(core, now);
        // Before: the worker may come back at any moment, and take its mark back.
        holder.info.computes.store(why == Why::Computes, Ordering::Relaxed);
        let Some(done) = threads.hand_over(|| holder.info.taker.take(), called, stall) else {
            holder.info.computes.store(false, Ordering::Relaxed);
            return Done::No;
        };
        let (core, computing) = (done.core, why == Why::Computes);
        host.tell(|| PoolEvent::HandedOver { core, stall, computing });
        let what = if computing { "computes" } else { "sleeps" };
        let name = &holder.info.name;
        log(&*host, Level::Debug, || format!("core {core} is handed over: {name} {what}, for {stall:?}"));
        Done::Yes
    }

    /// What has arrived at the port of a core that is held up goes where others find it.
    fn look_after_port(&mut self, core: usize) {
        let Monitor { host, out, .. } = self;
        if let Err(error) = host.look_after_port(core, out) {
            log(&**host, Level::Error, || format!("port {core} of the event channel: {error}"));
        }
    }

    /// There is something for a spare thread, and none is there: [`Lacks`](Suspicion::Lacks) if one is about to be, or may be started.
    fn lacks_thread(&mut self, now: Instant) -> Suspicion {
        if self.threads().ready() > 0 {
            return Suspicion::Lacks;
        }
        if self.threads().is_at_cap() {
            self.admission.at_cap(&*self.host);
        }
        if self.may_grow(now) { Suspicion::Lacks } else { Suspicion::None }
    }

    /// May there be one more thread at this moment?
    fn may_grow(&self, now: Instant) -> bool {
        let long_ago = |at: Option<Instant>, span| at.is_none_or(|at| now.duration_since(at) >= span);
        let at_once = self.threads().count() < self.looks.cores() + self.host.limits().max_threads / AT_ONCE;
        !self.threads().is_at_cap()
            && long_ago(self.thread_refused, AFTER_REFUSAL)
            && (at_once || long_ago(self.grown, GROW_EVERY))
    }

    /// Sees to it that so many spare threads are ready, and stay.
    fn ready_spares(&mut self, wanted: usize, now: Instant) {
        self.threads().spares.want(wanted);
        while self.threads().ready() < wanted && self.may_grow(now) {
            let host = self.host.clone();
            match host.start_thread(None) {
                Ok(()) => {
                    self.grown = Some(now);
                    let threads = host.threads().count();
                    host.threads().counts.grown.fetch_add(1, Ordering::Relaxed);
                    host.tell(|| PoolEvent::Grown { threads });
                }
                Err(error) => {
                    self.thread_refused = Some(now);
                    if host.threads().counts.refused.fetch_add(1, Ordering::Relaxed) == 0 {
                        let line =
                            || format!("no more threads for a pool: {error}; it goes on with those it has");
                        log(&*host, Level::Warn, line);
                    }
                    host.tell(|| PoolEvent::Refused { error: error.to_string() });
                }
            }
        }
    }
}

/// By way of the notifier: what the logger does must not hold up the monitor.
fn log(host: &impl Host, level: Level, line: impl FnOnce() -> String) {
    host.notifier().log(level, module_path!(), line);
}
