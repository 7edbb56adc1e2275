//! The clock of the sections: nanoseconds since the first of them.

use super::plan::NEVER;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(Instant::now)
}

pub(super) fn now() -> u64 {
    of(Some(Instant::now()))
}

/// What the clock shows at this time; `None` never comes.
pub(crate) fn of(time: Option<Instant>) -> u64 {
    let since = |time: Instant| time.saturating_duration_since(beginning()).as_nanos();
    time.map_or(NEVER, |time| u64::try_from(since(time)).unwrap_or(NEVER))
}

/// When it shows that; `None`: never.
pub(super) fn time(shown: u64) -> Option<Instant> {
    if shown == NEVER { None } else { beginning().checked_add(Duration::from_nanos(shown)) }
}
