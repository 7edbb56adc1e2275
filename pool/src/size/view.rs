//! One core, as the monitor sees it.

use crate::size::kernel::{Tid, Watch};
use std::time::{Duration, Instant};

/// See the module: what the last looks have shown.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) watch: Option<Watch>,
    /// The run that it was in, and when that was seen first. `None`: it was in none.
    pub(crate) run: Option<(u64, Instant)>,
    /// The run was seen at two looks at least.
    pub(crate) held_up: bool,
    /// How much CPU time the thread had used when it was first asked.
    pub(crate) cpu: Option<Duration>,
    /// And by the last look at which it did not sleep.
    pub(crate) used: Duration,
    /// What it did at the last look.
    pub(crate) sight: Sight,
    /// As it was in no run: how much CPU time it had used then.
    pub(crate) between: Option<(Instant, Duration)>,
}

/// What a core's worker does.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Sight {
    /// It is in no run of user code.
    #[default]
    Between,
    /// It says itself that it blocks in this run.
    Blocks,
    /// There is no telling.
    Hidden,
    /// In one run, at this look, or at the one before, too.
    Sleeps { twice: bool },
    /// It has used so much CPU time since it was seen in this run first.
    Computes(Duration),
}

impl View {
    /// Shows what this thread does, its worker.
    pub(crate) fn watch_of(&mut self, tid: Tid) -> &Watch {
        let watch = self.watch.take().filter(|watch| watch.tid() == tid);
        self.watch.insert(watch.unwrap_or_else(|| Watch::of(tid)))
    }

    /// For how long it has been in one run.
    pub(crate) fn lasted(&self, now: Instant) -> Duration {
        self.run.map_or(Duration::ZERO, |(_, since)| now.duration_since(since))
    }
}
