//! What the [monitor](super::monitor) sees of each core, and which of them is to be handed over.
//!
//! All are looked at before any is handed over. Who sleeps may do so only because another one has no CPU: one that holds a lock of the
//! program's, or in the kernel that of a socket. Then a thread more would want a CPU, too. So the other one is waited for, for a while.

use crate::size::host::Host;
use crate::size::kernel::Look;
use crate::size::view::{Sight, View};
use log::Level;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// CPU time in one run, after which a core is handed over.
const COMPUTED: Duration = Duration::from_millis(10);
/// Without /proc nobody tells who sleeps: then who is in one run for so long counts as if.
const BLIND: Duration = Duration::from_millis(10);
/// Who may sleep only because another has no CPU counts as blocked after so long in one run.
const CROWDED: Duration = Duration::from_millis(4);
/// Has used no CPU time to speak of.
const NO_CPU_TIME: Duration = Duration::from_micros(5);
/// In so long a time who has a CPU uses some of it: in one run, or between two.
const IN_RUN: Duration = Duration::from_micros(100);
const BETWEEN: Duration = Duration::from_micros(50);

/// Why a core is to be handed over.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Why {
    Sleeps,
    Computes,
}

/// See the module.
pub(crate) struct Looks {
    views: Vec<View>,
    /// The worker of this core was seen to want a CPU and to have none.
    starved: Option<(usize, Instant)>,
}

impl Looks {
    pub(crate) fn new(cores: usize) -> Looks {
        Looks { views: (0..cores).map(|_| View::default()).collect(), starved: None }
    }

    pub(crate) fn cores(&self) -> usize {
        self.views.len()
    }

    /// Was its worker seen in one run twice?
    pub(crate) fn is_held_up(&self, core: usize) -> bool {
        self.views[core].held_up
    }

    /// For how long it has been in one run.
    pub(crate) fn lasted(&self, core: usize, now: Instant) -> Duration {
        self.views[core].lasted(now)
    }

    /// It has another worker now.
    pub(crate) fn forget(&mut self, core: usize) {
        self.views[core] = View::default();
    }

    /// With no descriptor kept, nor any thread.
    pub(crate) fn forget_all(&mut self) {
        self.views.fill_with(View::default);
    }

    /// Looks at all, at this tick of the coarse clock.
    pub(crate) fn look(&mut self, host: &impl Host, ticked: u64, now: Instant) {
        (0..self.views.len()).for_each(|core| self.look_at(host, core, ticked, now));
        self.look_between(host, now);
    }

    fn look_at(&mut self, host: &impl Host, core: usize, ticked: u64, now: Instant) {
        let stats = &host.queues().stats[core];
        let view = &mut self.views[core];
        let run = stats.runs.load(Ordering::Relaxed);
        let holder =
            if stats.in_user_code.load(Ordering::Relaxed) { host.threads().worker_of(core) } else { None };
        let Some(holder) = holder else {
            *view = View { watch: view.watch.take(), between: view.between, ..View::default() };
            return;
        };
        if view.run.is_none_or(|(before, _)| before != run) {
            *view = View { watch: view.watch.take(), run: Some((run, now)), ..View::default() };
            holder.info.in_run.note(run, ticked);
        } else {
            view.held_up = true;
        }
        let watch = view.watch_of(holder.info.tid());
        let look = watch.look();
        // (Who cannot be asked for its CPU time has had no more than this.)
        let used = watch.cpu_time().unwrap_or_else(|| view.lasted(now));
        let before = *view.cpu.get_or_insert(used);
        view.sight = match look {
            _ if holder.info.blocks_in.load(Ordering::Relaxed) == run => Sight::Blocks,
            Look::Hidden => {
                blind(host);
                Sight::Hidden
            }
            Look::Asleep => Sight::Sleeps { twice: matches!(view.sight, Sight::Sleeps { .. }) },
            Look::Running => {
                let since = used.saturating_sub(std::mem::replace(&mut view.used, used));
                if since < NO_CPU_TIME && view.lasted(now) > IN_RUN {
                    self.starved = Some((core, now));
                }
                Sight::Computes(used.saturating_sub(before))
            }
        };
    }

    /// If somebody sleeps: has one that is between two runs no CPU?
    fn look_between(&mut self, host: &impl Host, now: Instant) {
        let sleeps = self.views.iter().any(|view| matches!(view.sight, Sight::Sleeps { .. }));
        for (core, view) in self.views.iter_mut().enumerate() {
            let holder =
                if sleeps && view.sight == Sight::Between { host.threads().worker_of(core) } else { None };
            let Some(holder) = holder else {
                view.between = None;
                continue;
            };
            let watch = view.watch_of(holder.info.tid());
            let (wants, used) = (watch.look() == Look::Running, watch.cpu_time());
            let before = std::mem::replace(&mut view.between, used.map(|used| (now, used)));
            let has_none = |(at, before): (Instant, Duration)| {
                now.duration_since(at) >= BETWEEN
                    && used.is_some_and(|used| used.saturating_sub(before) < NO_CPU_TIME)
            };
            if wants && before.is_some_and(has_none) {
                self.starved = Some((core, now));
            }
        }
    }

    /// Was the worker of another core without a CPU lately?
    fn is_crowded(&self, core: usize, now: Instant) -> bool {
        self.starved.is_some_and(|(other, at)| other != core && now.duration_since(at) < CROWDED)
    }

    /// Is it worth a look soon whether its worker sleeps still?
    pub(crate) fn seems_to_sleep(&self, core: usize, now: Instant) -> bool {
        matches!(self.views[core].sight, Sight::Sleeps { .. }) && !self.is_crowded(core, now)
    }

    /// Is the core to be handed over?
    pub(crate) fn why(&self, host: &impl Host, core: usize, now: Instant) -> Option<Why> {
        let view = &self.views[core];
        match view.sight {
            Sight::Between => None,
            Sight::Blocks => Some(Why::Sleeps),
            Sight::Hidden => (view.lasted(now) >= BLIND).then_some(Why::Sleeps),
            Sight::Sleeps { twice } => {
                // (With a thread at hand there is nothing to be lost.)
                let crowded = host.threads().ready() == 0 && self.is_crowded(core, now);
                let least = if crowded { CROWDED } else { Duration::ZERO };
                (twice && view.lasted(now) >= least).then_some(Why::Sleeps)
            }
            Sight::Computes(used) => (used >= COMPUTED).then_some(Why::Computes),
        }
    }
}

fn blind(host: &impl Host) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        let line = format!(
            "/proc does not tell which threads sleep: a worker in one run for {BLIND:?} counts as blocked"
        );
        host.notifier().log(Level::Warn, module_path!(), || line);
    }
}
