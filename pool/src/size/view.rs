//! One core, as the monitor sees it.

use crate::size::kernel::Watch;
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
    /// It slept at the last look.
    pub(crate) slept: bool,
}

impl View {
    /// For how long it has been in one run.
    pub(crate) fn lasted(&self, now: Instant) -> Duration {
        self.run.map_or(Duration::ZERO, |(_, since)| now.duration_since(since))
    }
}
