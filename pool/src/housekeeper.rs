//! The one sleeper that wakes up by itself, as long as there is surplus stack memory to give back.
//!
//! While there is none nobody does. Whoever goes to sleep looks, and takes it on; a thread that has given stacks back and does not
//! go to sleep here, since it holds no core, wakes one that does ([`Housekeeper::see_to_it`]). Each of the two writes first and
//! then reads what the other has written: "nobody keeps house", "there is a stack more".

use crate::shared::Shared;
use ec_channel::Wait;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

/// See the module.
pub(crate) struct Housekeeper<'a> {
    shared: &'a Shared,
    next: Duration,
}

impl<'a> Housekeeper<'a> {
    /// By a worker that goes to sleep. `None`: another one is, or there is nothing to do.
    pub(crate) fn enter(shared: &'a Shared) -> Option<Housekeeper<'a>> {
        loop {
            if shared.housekeeping.swap(true, Ordering::SeqCst) {
                return None;
            }
            if let Some(next) = ec_tasks::trim_stacks(Instant::now()) {
                return Some(Housekeeper { shared, next });
            }
            shared.housekeeping.store(false, Ordering::SeqCst);
            // Pairs with the one in `see_to_it`.
            fence(Ordering::SeqCst);
            if !ec_tasks::surplus_stacks() {
                return None;
            }
        }
    }

    /// By a thread that holds no core and has given stacks back.
    pub(crate) fn see_to_it(shared: &Shared) {
        fence(Ordering::SeqCst);
        // (Who is awake comes by before it sleeps.)
        if shared.all_asleep() && !shared.housekeeping.load(Ordering::SeqCst) && ec_tasks::surplus_stacks() {
            shared.serving.wake_port(0);
        }
    }

    /// How long to sleep.
    pub(crate) fn wait(&self) -> Wait {
        Wait::For(self.next)
    }
}

impl Drop for Housekeeper<'_> {
    fn drop(&mut self) {
        self.shared.housekeeping.store(false, Ordering::SeqCst);
    }
}
