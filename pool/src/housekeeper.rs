//! The one sleeper that wakes up by itself, as long as there is surplus stack memory to give back.

use crate::shared::Shared;
use ec_channel::Wait;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// See the module.
pub(crate) struct Housekeeper<'a> {
    shared: &'a Shared,
    next: Option<Duration>,
}

impl<'a> Housekeeper<'a> {
    /// `None`: another one is.
    pub(crate) fn enter(shared: &'a Shared) -> Option<Housekeeper<'a>> {
        if shared.housekeeping.swap(true, Ordering::Acquire) {
            return None;
        }
        Some(Housekeeper { shared, next: ec_tasks::trim_stacks(Instant::now()) })
    }

    /// How long to sleep.
    pub(crate) fn wait(&self) -> Wait {
        self.next.map_or(Wait::Forever, Wait::For)
    }
}

impl Drop for Housekeeper<'_> {
    fn drop(&mut self) {
        self.shared.housekeeping.store(false, Ordering::Release);
    }
}
