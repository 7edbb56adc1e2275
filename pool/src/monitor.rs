//! The monitor: a thread that sees to it that a blocked thread costs the pool a thread and not a core.
//!
//! It looks at the cores every now and then. A core whose worker is in the same run as at the look before is *held up*.
//!
//! * If the worker sleeps in the kernel (at two looks in one run), the core is handed over, with its run queue and its port:
//!   to a spare thread, which goes on with it. Whether work waits does not matter: the port's timers and connections
//!   need somebody, too.
//! * If it computes, that happens after [`COMPUTED`] of CPU time, so that the kernel shares the CPUs among them.
//!   Of such strays there are about as many as cores: more would not compute faster. (Who has lost its core because it slept, and
//!   computes afterwards in the same run, is not counted: it shares the CPUs with all others, and new tasks need not wait for it.)
//! * Until then, and where a core cannot be handed over, the monitor itself looks after the port.
//! * A worker that went out before the kernel refused the barrier keeps its core until it comes back (`refused.rs`).
//!
//! The worker that has lost its core goes on with its task until that suspends, and becomes a spare. If the task slept, it begins on
//! a spare thread the next time (`run.rs`).
//!
//! **How often.** While cores are handed over, every [`OFTEN`]; then less and less, down to [`SELDOM`] ([`HELD_UP`] while
//! a core is); and when all cores sleep, not at all: whoever wakes up first rings (`watchman.rs`).
//!
//! **How many.** The first [`AT_ONCE`]th part of the threads there may be comes as fast as it is needed, the rest one
//! every [`PACE`]. When they become scarce, or many strays compute, no new task begins (`admission.rs`).

use crate::admission::Admission;
use crate::crew::Crew;
use crate::events::PoolEvent;
use crate::kernel::{Look, Watch};
use crate::refused;
use crate::shared::Shared;
use ec_channel::{Completions, Wait};
use log::Level;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// CPU time in one run, after which a core is handed over.
const COMPUTED: Duration = Duration::from_millis(10);
/// Between two looks.
const OFTEN: Duration = Duration::from_micros(100);
/// (Half as long costs a busy server two hundredths: each time, somebody who works loses the CPU.)
const SELDOM: Duration = Duration::from_millis(4);
/// While a core is held up.
const HELD_UP: Duration = Duration::from_millis(2);
/// So long after a hand-over the monitor still looks often.
const TROUBLE: Duration = Duration::from_millis(100);
/// Between two looks at a worker that seems to sleep: while cores are handed over; and otherwise, when few of the short sleeps
/// are worth a thread.
const CONFIRM: Duration = Duration::from_micros(50);
const DOUBT: Duration = Duration::from_micros(200);
/// Without /proc nobody tells who sleeps: then who is in one run for so long counts as if.
const BLIND: Duration = Duration::from_millis(10);
/// Who may sleep only because another, who holds a lock, has no CPU, counts as blocked after so long in one run.
const PATIENCE: Duration = Duration::from_millis(4);
/// Has used no CPU time to speak of.
const NOTHING: Duration = Duration::from_micros(5);
/// One part of so many comes at once.
const AT_ONCE: usize = 4;
const PACE: Duration = Duration::from_millis(1);
/// After the operating system has refused a thread.
const REFUSED: Duration = Duration::from_millis(100);
/// So many looks that find all cores asleep come before the monitor sleeps.
const QUIET: u32 = 8;

/// One core, as of the last looks.
#[derive(Default)]
struct Post {
    watch: Option<Watch>,
    /// The run that it was in, and when that was seen first. `None`: it was in none.
    run: Option<(u64, Instant)>,
    /// The run was seen at two looks at least.
    held_up: bool,
    /// How much CPU time the thread had used when it was first asked.
    cpu: Option<Duration>,
    /// And by the last look at which it did not sleep.
    used: Duration,
    /// It slept at the last look.
    slept: bool,
}

impl Post {
    /// For how long it has been in one run.
    fn lasted(&self, now: Instant) -> Duration {
        self.run.map_or(Duration::ZERO, |(_, since)| now.duration_since(since))
    }
}

/// Why a core is to be handed over.
#[derive(Clone, Copy, PartialEq)]
enum Why {
    Sleeps,
    Computes,
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

pub(crate) struct Monitor {
    shared: Arc<Shared>,
    posts: Vec<Post>,
    out: Completions,
    every: Duration,
    first: usize,
    trouble: Option<Instant>,
    /// The worker of this core was seen to want a CPU and to have none.
    starved: Option<(usize, Instant)>,
    quiet: u32,
    /// When a thread was started beyond those that come at once, or refused.
    grown: Option<Instant>,
    refused: Option<Instant>,
    admission: Admission,
}

impl Monitor {
    pub(crate) fn new(shared: Arc<Shared>) -> Monitor {
        // Or the kernel would make 150 us of 100.
        let _ = nix::sys::prctl::set_timerslack(1_000);
        Monitor {
            posts: shared.stealers.iter().map(|_| Post::default()).collect(),
            shared,
            out: Completions::new(),
            every: SELDOM,
            first: 0,
            trouble: None,
            starved: None,
            quiet: 0,
            grown: None,
            refused: None,
            admission: Admission::default(),
        }
    }

    fn crew(&self) -> &Crew {
        &self.shared.crew
    }

    /// Until the pool is stopped.
    pub(crate) fn run(&mut self) {
        while !self.shared.life.is_stopped() {
            let now = Instant::now();
            self.crew().counts.looks.fetch_add(1, Ordering::Relaxed);
            let suspicion = self.look_round(now);
            refused::tell(&self.shared);
            let changed = self.admission.decide(&self.shared, now);
            // Before they are missed; but a single task that blocks now and then brings one thread, not two.
            let ahead = (self.crew().strays() / 2).min(2 * self.posts.len());
            self.trouble = self.trouble.filter(|at| now.duration_since(*at) < TROUBLE);
            let wanted = match self.trouble {
                _ if suspicion => ahead.max(1),
                Some(_) => ahead,
                None => 0,
            };
            self.ready_spares(wanted, now);
            if suspicion {
                self.quiet = 0;
                std::thread::park_timeout(if self.trouble.is_some() { CONFIRM } else { DOUBT });
                continue;
            }
            if let Some(at) = self.trouble {
                // Who has just taken a core over may well block, too.
                self.every = if at == now { CONFIRM } else { OFTEN };
            } else {
                let held_up = self.posts.iter().any(|post| post.held_up);
                self.every = (2 * self.every).min(if held_up { HELD_UP } else { SELDOM });
            }
            // (Who comes back just when new tasks are held, or no more, may have seen it as it was: one more look.)
            self.quiet = if self.shared.all_asleep() && !changed { self.quiet + 1 } else { 0 };
            // (While strays compute the process is not idle anyway, and exceptions come due.)
            if self.quiet > QUIET && !self.admission.expects_exception() {
                // With no descriptor kept, nor any thread.
                self.posts.fill_with(Post::default);
                self.ready_spares(0, now);
                self.shared.watchman.doze(&self.shared);
                self.every = SELDOM;
                self.quiet = 0;
            } else {
                std::thread::park_timeout(self.every);
            }
        }
    }

    /// Was a worker other than that of `core` without a CPU lately?
    fn is_crowded(&self, core: usize, now: Instant) -> bool {
        self.starved.is_some_and(|(other, at)| other != core && now.duration_since(at) < PATIENCE)
    }

    /// Looks at each core. True: somebody seems to sleep, and is to be looked at again at once.
    fn look_round(&mut self, now: Instant) -> bool {
        let mut suspicion = false;
        let mut kept = 0;
        // Another one first each time: who comes first gets the spare thread.
        self.first = (self.first + 1) % self.posts.len();
        for core in (self.first..self.posts.len()).chain(0..self.first) {
            match self.look_at(core, now) {
                Some(why) => {
                    match self.hand_over(core, why, now) {
                        Done::Yes => {
                            self.trouble = Some(now);
                            self.posts[core] = Post::default();
                            continue;
                        }
                        Done::NoThread => suspicion |= self.lacks_thread(now),
                        Done::No => {}
                        Done::Kept => kept += 1,
                    }
                    self.look_after_port(core);
                }
                None => {
                    suspicion |= self.posts[core].slept && !self.is_crowded(core, now);
                    if self.posts[core].held_up {
                        self.look_after_port(core);
                    }
                }
            }
        }
        if kept == self.posts.len() {
            let lent = refused::lend(&self.shared);
            self.trouble = if lent.any { Some(now) } else { self.trouble };
            suspicion |= lent.more && self.lacks_thread(now);
        }
        suspicion
    }

    /// Is the core to be handed over? Its post says afterwards whether it is held up.
    fn look_at(&mut self, core: usize, now: Instant) -> Option<Why> {
        // (With a thread at hand there is nothing to be lost.)
        let crowded = self.crew().ready() == 0 && self.is_crowded(core, now);
        let patience = if crowded { PATIENCE } else { Duration::ZERO };
        let stats = &self.shared.stats[core];
        let post = &mut self.posts[core];
        let run = stats.runs.load(Ordering::Relaxed);
        if !stats.busy.load(Ordering::Relaxed) {
            *post = Post { watch: post.watch.take(), ..Post::default() };
            return None;
        }
        let holder = self.shared.crew.holder(core)?;
        if post.run.is_none_or(|(before, _)| before != run) {
            *post = Post { watch: post.watch.take(), run: Some((run, now)), ..Post::default() };
        } else {
            post.held_up = true;
        }
        let tid = holder.info.tid();
        if post.watch.as_ref().is_none_or(|watch| watch.tid() != tid) {
            post.watch = Some(Watch::of(tid));
        }
        let watch = post.watch.as_ref()?;
        // (Who cannot be asked for its CPU time has had no more than this.)
        let used = watch.cpu_time().unwrap_or_else(|| post.lasted(now));
        let before = *post.cpu.get_or_insert(used);
        if holder.info.blocks_in.load(Ordering::Relaxed) == run {
            return Some(Why::Sleeps);
        }
        let look = watch.look();
        if look == Look::Hidden {
            blind(&self.shared);
            return (post.lasted(now) >= BLIND).then_some(Why::Sleeps);
        }
        if look == Look::Asleep {
            let twice = std::mem::replace(&mut post.slept, true);
            return (twice && post.lasted(now) >= patience).then_some(Why::Sleeps);
        }
        post.slept = false;
        if used.saturating_sub(std::mem::replace(&mut post.used, used)) < NOTHING && post.lasted(now) > OFTEN
        {
            self.starved = Some((core, now));
        }
        (used.saturating_sub(before) >= COMPUTED).then_some(Why::Computes)
    }

    /// Gives the core to a spare thread.
    fn hand_over(&mut self, core: usize, why: Why, now: Instant) -> Done {
        let shared = self.shared.clone();
        let Some(holder) = shared.crew.holder(core) else { return Done::No };
        if refused::keeps(&holder) {
            return Done::Kept;
        }
        if why == Why::Computes {
            let computing = self.crew().computing();
            let most = self.admission.most_computing(self.posts.len());
            if computing >= most {
                return Done::No;
            }
            if computing + 1 >= most {
                // Before the core has a new holder, who would begin one more.
                shared.hold_new.store(true, Ordering::Relaxed);
            }
        }
        let Some(called) = shared.crew.spares.call() else {
            return Done::NoThread;
        };
        let stall = self.posts[core].lasted(now);
        // Before: the worker may come back at any moment, and take its mark back.
        holder.info.computes.store(why == Why::Computes, Ordering::Relaxed);
        let Some(done) = shared.crew.hand_over(|| holder.info.taker.take(), called, stall) else {
            holder.info.computes.store(false, Ordering::Relaxed);
            return Done::No;
        };
        let (core, computing) = (done.core, why == Why::Computes);
        tell(&shared, || PoolEvent::HandedOver { core, stall, computing });
        let what = if computing { "computes" } else { "sleeps" };
        let name = &holder.info.name;
        log(&shared, Level::Debug, || format!("core {core} is handed over: {name} {what}, for {stall:?}"));
        Done::Yes
    }

    /// What has arrived at the port of a core that is held up goes where others find it.
    fn look_after_port(&mut self, core: usize) {
        let Monitor { shared, out, .. } = self;
        if let Err(error) = shared.serving.drive(core, Wait::No, out) {
            log(shared, Level::Error, || format!("port {core} of the event channel: {error}"));
        }
        out.drain().for_each(|completion| shared.deliver(completion));
    }

    /// There is something for a spare thread, and none is there: true if one is about to be, or may be started.
    fn lacks_thread(&mut self, now: Instant) -> bool {
        if self.crew().ready() > 0 {
            return true;
        }
        if self.crew().is_at_cap() {
            self.admission.at_cap(&self.shared);
        }
        self.may_grow(now)
    }

    /// May there be one more thread at this moment?
    fn may_grow(&self, now: Instant) -> bool {
        let long_ago = |at: Option<Instant>, span| at.is_none_or(|at| now.duration_since(at) >= span);
        let at_once = self.crew().threads() < self.posts.len() + self.shared.settings.max_threads / AT_ONCE;
        !self.crew().is_at_cap() && long_ago(self.refused, REFUSED) && (at_once || long_ago(self.grown, PACE))
    }

    /// Sees to it that so many spare threads are ready, and stay.
    fn ready_spares(&mut self, wanted: usize, now: Instant) {
        self.crew().spares.want(wanted);
        while self.crew().ready() < wanted && self.may_grow(now) {
            let shared = self.shared.clone();
            match shared.crew.enlist(&shared, None) {
                Ok(()) => {
                    self.grown = Some(now);
                    let threads = shared.crew.threads();
                    shared.crew.counts.grown.fetch_add(1, Ordering::Relaxed);
                    tell(&shared, || PoolEvent::Grown { threads });
                }
                Err(error) => {
                    self.refused = Some(now);
                    if shared.crew.counts.refused.fetch_add(1, Ordering::Relaxed) == 0 {
                        let line =
                            || format!("no more threads for a pool: {error}; it goes on with those it has");
                        log(&shared, Level::Warn, line);
                    }
                    tell(&shared, || PoolEvent::Refused { error: error.to_string() });
                }
            }
        }
    }
}

/// By way of the notifier: what the listener and the logger do must not hold up the monitor.
fn tell(shared: &Shared, event: impl FnOnce() -> PoolEvent) {
    shared.watchman.notifier.tell(&shared.settings.listener, event);
}

fn log(shared: &Shared, level: Level, line: impl FnOnce() -> String) {
    shared.watchman.notifier.log(level, module_path!(), line);
}

fn blind(shared: &Shared) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        log(shared, Level::Warn, || {
            format!(
                "/proc does not tell which threads sleep: a worker in one run for {BLIND:?} counts as blocked"
            )
        });
    }
}
