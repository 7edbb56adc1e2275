//! One sleeper wakes up by itself, as long as there is surplus stack memory to give back.
//!
//! While there is none, nobody does. A worker that goes to sleep looks, and takes it on. A thread without a core does not sleep in a
//! port. If it has given stacks back, it wakes a worker that does ([`Trimmer::see_to_it`]). Each of the two writes first, and then reads
//! what the other has written: "nobody trims", "there is a stack more".

use crate::sleep::idle::Idle;
use ec_channel::Wait;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(crate) struct Trimmer {
    /// A sleeper has taken it on.
    taken: AtomicBool,
}

/// The sleeper that has.
pub(crate) struct Trimming<'a> {
    trimmer: &'a Trimmer,
    next: Duration,
}

impl Trimmer {
    /// By a worker that goes to sleep. `None`: another one is, or there is nothing to do.
    pub(crate) fn enter(&self) -> Option<Trimming<'_>> {
        loop {
            if self.taken.swap(true, Ordering::SeqCst) {
                return None;
            }
            if let Some(next) = ec_tasks::trim_stacks(Instant::now()) {
                return Some(Trimming { trimmer: self, next });
            }
            self.taken.store(false, Ordering::SeqCst);
            // Pairs with the one in `see_to_it`.
            fence(Ordering::SeqCst);
            if !ec_tasks::surplus_stacks() {
                return None;
            }
        }
    }

    /// By a thread that holds no core and has given stacks back: `wake` wakes a sleeper.
    pub(crate) fn see_to_it(&self, idle: &Idle, wake: impl FnOnce()) {
        fence(Ordering::SeqCst);
        // (Who is awake comes by before it sleeps.)
        if idle.all_asleep() && !self.taken.load(Ordering::SeqCst) && ec_tasks::surplus_stacks() {
            wake();
        }
    }
}

impl Trimming<'_> {
    /// How long to sleep.
    pub(crate) fn wait(&self) -> Wait {
        Wait::For(self.next)
    }
}

impl Drop for Trimming<'_> {
    fn drop(&mut self) {
        self.trimmer.taken.store(false, Ordering::SeqCst);
    }
}
