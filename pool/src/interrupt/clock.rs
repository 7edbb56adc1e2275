//! The clock of the sections: nanoseconds since the process had the first of them.

use super::plan::NEVER;
use std::time::{Duration, Instant};

pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new() -> Clock {
        Clock(Instant::now())
    }

    pub(super) fn now(&self) -> u64 {
        self.of(Some(Instant::now()))
    }

    /// What it shows at this time; `None` never comes.
    pub(super) fn of(&self, time: Option<Instant>) -> u64 {
        let since = |time: Instant| time.saturating_duration_since(self.0).as_nanos();
        time.map_or(NEVER, |time| u64::try_from(since(time)).unwrap_or(NEVER))
    }

    /// When it shows that; `None`: never.
    pub(super) fn time(&self, shown: u64) -> Option<Instant> {
        if shown == NEVER { None } else { self.0.checked_add(Duration::from_nanos(shown)) }
    }
}
