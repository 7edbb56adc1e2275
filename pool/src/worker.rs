//! The loop of a worker: an OS thread that holds a core and runs what is ready on it.
//!
//! ```text
//!        ┌─────────────────────────────────────────────────────────────────┐
//!        ▼                                                                 │
//!  every so many runs: look at the own port and at the injector            │
//!  own queue ─► injector ─► own port, a glance ─► search ─► stand back ─► sleep
//!      │                            (own port; steal; then the ports       │
//!      ▼                             of workers that stay in one run)      │
//!  run one task until it suspends, or one handler ─────────────────────────┘
//! ```
//!
//! "Looking at the port" is [`Serving::drive`], the same
//! function that a plain `get_event` loops in; a worker also sleeps in it. What it brings is
//! published to the run queue before anything of it runs, so that a task that computes for a second
//! holds back nothing that came in with it: others can steal it.
//!
//! One that was woken as company (see `company.rs`) stays between the glance and the search for a moment, doing both.
//!
//! Shutdown: workers leave when the lifecycle says "stopped", and pour what is left in their queue
//! into the injector.

use crate::asleep::Asleep;
use crate::company::{BRIEF, SOON};
use crate::core::{Core, Turn};
use crate::courtesy::{ALONE, Courtesy, KEPT, WHILE};
use crate::housekeeper::Housekeeper;
use crate::idle::Woken;
use crate::metrics::bump;
use crate::outside::Outside;
use crate::pace::Pace;
use crate::ready::Ready;
use crate::run;
use crate::run_queue::share;
use crate::seat::Seat;
use crate::shared::Shared;
use ec_channel::{Completions, Serving, Wait};
use log::Level;
use std::cell::Cell;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A worker thread while it holds a core.
pub(crate) struct Worker<'a> {
    seat: &'a Seat,
    shared: &'a Shared,
    index: usize,
    /// Counted as searching in `idle`.
    searching: &'a Cell<bool>,
    out: Completions,
    pace: Pace,
    turn: Turn,
    /// To stand back once before a sleep.
    courtesy: Courtesy,
    /// To do so for a while.
    patience: Courtesy,
    /// Was woken as company, which does so in another way.
    keeps_company: bool,
    /// Of each core: which run its worker was in at the last look, and whether it still was at this one.
    seen: Vec<(u64, bool)>,
    /// Whose queue to look at first; moves on, so that not all begin at the same one.
    victim: usize,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(seat: &'a Seat, index: usize, searching: &'a Cell<bool>) -> Worker<'a> {
        let pace = Pace::due_at_once(Instant::now());
        let out = Completions::new();
        Worker {
            seat,
            shared: &seat.shared,
            index,
            searching,
            out,
            pace,
            turn: Turn::default(),
            courtesy: Courtesy::default(),
            patience: Courtesy::default(),
            keeps_company: false,
            seen: vec![(0, false); seat.shared.stats.len()],
            victim: index,
        }
    }

    /// Until the pool is stopped, or the core was handed over.
    pub(crate) fn run(&mut self) {
        while !self.shared.life.is_stopped() {
            match self.next() {
                Some(ready) => {
                    if !self.run_one(ready) {
                        return;
                    }
                }
                None => self.sleep(),
            }
        }
    }

    fn next(&mut self) -> Option<Ready> {
        let found = self.find();
        // It has kept company by now, or has something to run.
        self.keeps_company = false;
        if found.is_some() && self.stop_searching() {
            self.shared.notify();
        }
        found
    }

    fn find(&mut self) -> Option<Ready> {
        if self.pace.due() {
            self.look_at_port(self.index);
            self.pace.looked(Instant::now());
            if let Some(ready) = self.take_injected().or_else(|| self.take_forced()) {
                return Some(ready);
            }
        }
        let ready = self.pop_own().or_else(|| self.take_forced()).or_else(|| self.take_injected());
        if let Some(ready) = ready {
            return Some(ready);
        }
        self.pace.restart();
        self.glance();
        if let Some(ready) = self.pop_own().or_else(|| self.keep_company()) {
            return Some(ready);
        }
        if self.anything_elsewhere() {
            self.look_at_port(self.index);
            let found = self.pop_own().or_else(|| self.search());
            if found.is_some() {
                return found;
            }
            // Others were quicker, and will be again. To fall asleep over it would make them wake this worker for each task.
        }
        self.stand_back()
    }

    /// Counts as searching no more. True if there is work to be seen: those who queued it meanwhile relied on this worker.
    fn stop_searching(&self) -> bool {
        if !self.searching.replace(false) {
            return false;
        }
        self.shared.idle.end_search();
        self.shared.work_is_visible()
    }

    /// Goes on searching for a while, if it was woken to do so. (Not with `sched_yield`: the CPU is to be seen busy.)
    fn keep_company(&mut self) -> Option<Ready> {
        if !self.keeps_company {
            return None;
        }
        let began = Instant::now();
        while began.elapsed() < WHILE && !self.shared.life.is_stopped() {
            // In full: what is posted meanwhile is to be submitted.
            self.look_at_port(self.index);
            let found = self.pop_own().or_else(|| self.take_forced());
            let found = found.or_else(|| self.shared.work_is_visible().then(|| self.search()).flatten());
            if found.is_some() {
                return found;
            }
            // Nobody is to rely on it, for it may lose the CPU.
            self.stop_searching();
            std::hint::spin_loop();
        }
        None
    }

    /// Lets others have the CPU and looks again: once, or for a while; see [`Courtesy`].
    fn stand_back(&mut self) -> Option<Ready> {
        // What was posted is submitted here, or else by the system call that sleeps. (This may take a while, and those who
        // queue work rely on who is searching.)
        if !self.courtesy.due() || self.stop_searching() {
            return None;
        }
        self.look_at_port(self.index);
        if let Some(ready) = self.pop_own() {
            return Some(ready);
        }
        let began = Instant::now();
        let found = self.yield_and_glance();
        let took = began.elapsed();
        self.courtesy.paid(took < KEPT);
        if found.is_some() || took > ALONE || !self.shared.others_sleep() || !self.patience.due() {
            return found;
        }
        let most = if self.asks_company() { SOON } else { WHILE };
        let mut found = None;
        while began.elapsed() < most && found.is_none() {
            if self.shared.work_is_visible() {
                // Found before it sleeps. (It proves nothing.)
                return None;
            }
            found = self.yield_and_glance();
        }
        if most == WHILE {
            // (The shorter one says nothing of it.)
            self.patience.paid(found.is_some());
        }
        found
    }

    fn asks_company(&self) -> bool {
        self.seat.with_core(Core::asks_company).unwrap_or(false)
    }

    fn yield_and_glance(&mut self) -> Option<Ready> {
        std::thread::yield_now();
        self.glance();
        self.pop_own()
    }

    /// Is there a queue to take from, or a port that its worker does not look at because it stays in one run?
    fn anything_elsewhere(&mut self) -> bool {
        let Worker { shared, index, seen, .. } = self;
        let mut any = shared.work_is_visible() || shared.forced.is_some();
        for (other, (seen, stuck)) in seen.iter_mut().enumerate() {
            let stats = &shared.stats[other];
            let runs = stats.runs.load(Ordering::Relaxed);
            *stuck = other != *index && stats.busy.load(Ordering::Relaxed) && *seen == runs;
            *seen = runs;
            any |= *stuck;
        }
        any
    }

    fn pop_own(&mut self) -> Option<Ready> {
        let Worker { seat, shared, turn, .. } = self;
        seat.with_core(|core| core.pop(turn, shared.admits())).flatten()
    }

    fn take_injected(&self) -> Option<Ready> {
        if self.shared.injector.is_empty() {
            return None;
        }
        let Worker { seat, shared, .. } = self;
        seat.with_core(|core| core.take_over(shared.injector.pop_batch(share), shared.admits())).flatten()
    }

    /// Where migration is forced, what the others have to leave to this worker.
    fn take_forced(&self) -> Option<Ready> {
        self.shared.forced.as_ref()?.take(self.seat.member.info.number).map(Ready::task)
    }

    /// The queues of the others, then the ports of those who are too busy to look at them.
    fn search(&mut self) -> Option<Ready> {
        if !self.searching.get() && !self.shared.idle.begin_search() {
            return None;
        }
        self.searching.set(true);
        let cores = self.shared.stealers.len();
        self.victim = (self.victim + 1) % cores;
        let (first, own) = (self.victim, self.index);
        let others = (0..cores).map(|i| (first + i) % cores).filter(|&other| other != own);
        for other in others.clone() {
            let stealer = &self.shared.stealers[other];
            let admit = self.shared.admits();
            if let Some(ready) = self.seat.with_core(|core| core.steal_from(stealer, admit)).flatten() {
                bump(&self.shared.stats[self.index].steals);
                return Some(ready);
            }
        }
        for other in others {
            if self.seen[other].1 {
                self.look_at_port(other);
                if let Some(ready) = self.pop_own() {
                    return Some(ready);
                }
            }
        }
        self.take_injected()
    }

    /// One pass of port `port`; what it brings is queued.
    fn look_at_port(&mut self, port: usize) {
        let looked = self.pass(|serving, out| serving.drive(port, Wait::No, out));
        self.looked_at(port, looked);
    }

    /// The same of the own port, cheaper, when nothing else is at hand.
    fn glance(&mut self) {
        let port = self.index;
        let looked = self.pass(|serving, out| serving.glance(port, out));
        self.looked_at(port, looked);
    }

    fn looked_at(&mut self, port: usize, looked: io::Result<bool>) {
        self.publish();
        self.note_trouble(port, looked);
    }

    /// What came of a pass, unless that failed.
    fn note_trouble<T>(&self, port: usize, looked: io::Result<T>) -> Option<T> {
        let note = |error| {
            let line = || format!("port {port} of the event channel: {error}");
            self.shared.watchman.notifier.log(Level::Error, module_path!(), line);
            // Not in a tight circle, should it not go away.
            std::thread::sleep(Duration::from_millis(1));
        };
        looked.map_err(note).ok()
    }

    fn pass<R>(&mut self, look: impl FnOnce(&Serving, &mut Completions) -> R) -> R {
        let Worker { out, seat, shared, .. } = self;
        // What a pass hands to getters is queued here, too.
        seat.publishing(|| look(&shared.serving, out))
    }

    /// Queues a reaped batch before anything of it runs, and returns how much waits then. This worker runs one of it
    /// itself, so a batch of one wakes nobody.
    fn publish(&mut self) -> usize {
        let Worker { out, seat, shared, .. } = self;
        seat.publishing(|| {
            out.drain().for_each(|completion| shared.deliver(completion));
        });
        let waiting = self.seat.with_core(Core::hear).unwrap_or(0);
        if waiting > 1 {
            self.shared.notify();
        }
        waiting
    }

    /// False: the core was handed over meanwhile.
    fn run_one(&mut self, mut ready: Ready) -> bool {
        if ready.has_blocked() {
            match self.lend(ready) {
                Some(kept) => ready = kept,
                None => return true,
            }
        }
        let outside = Outside::new(self.seat, &self.shared.stats[self.index]);
        let again = run::run(self.seat, ready);
        let has_core = outside.end();
        if let Some(again) = again {
            self.yielded(again);
        }
        has_core
    }

    /// A task that has blocked its thread the last time goes to a spare one, if there is one. Gives it back otherwise.
    #[cold]
    fn lend(&self, ready: Ready) -> Option<Ready> {
        // (Where migration is forced it is chosen already who runs it.)
        if self.shared.forced.is_some() {
            return Some(ready);
        }
        let Some(called) = self.shared.crew.spares.call() else { return Some(ready) };
        self.shared.crew.lend(called, ready);
        None
    }

    /// Behind all others. Nobody is woken: this worker comes to it, unless it has lost its core.
    fn yielded(&mut self, again: Ready) {
        let Worker { seat, shared, turn, .. } = self;
        if shared.forced.is_some() {
            seat.publishing(|| shared.make_ready(again));
            return;
        }
        let mut again = Some(again);
        seat.with_core(|core| again.take().into_iter().for_each(|again| core.push_behind(again, turn)));
        if let Some(again) = again {
            shared.make_ready(again);
        }
    }

    fn sleep(&mut self) {
        let Worker { shared, index, .. } = *self;
        ec_tasks::worker_sleeps();
        // Before it shows as asleep: whoever sees it sleep sees it counted.
        bump(&shared.stats[index].sleeps);
        // Before the look at the queues: what comes into the own one afterwards, from an allocator say, makes the pass return.
        let asleep = Asleep::new(self.seat, index, self.searching.replace(false));
        let mut looked = true;
        let began = Instant::now();
        if !shared.work_is_visible() && !shared.life.is_stopped() {
            let housekeeper = Housekeeper::enter(shared);
            let wait = housekeeper.as_ref().map_or(Wait::Forever, Housekeeper::wait);
            let driven = self.pass(|serving, out| serving.drive(index, wait, out));
            looked = self.note_trouble(index, driven).unwrap_or(true);
        }
        let slept = began.elapsed();
        let woken = asleep.end();
        self.searching.set(woken == Woken::ByNotify);
        self.keeps_company = woken == Woken::AsCompany;
        shared.watchman.wake();
        if self.publish() == 1 && woken == Woken::ByPort && slept < BRIEF && self.asks_company() {
            shared.ask_company();
        }
        if !looked {
            // A searching worker is looking at this port, for a moment.
            std::thread::yield_now();
        }
    }
}
