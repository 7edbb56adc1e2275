//! When the thread that sends looks next. Who enters a section whose deadline is earlier wakes it.
//!
//! `tests/interrupt_model.rs` checks it with loom.

use crate::sync::{AtomicU64, Ordering, fence};

/// It never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// In nanoseconds, by the clock of the sections.
pub(crate) struct Plan(AtomicU64);

impl Plan {
    pub(crate) fn new() -> Plan {
        Plan(AtomicU64::new(NEVER))
    }

    /// The thread is about to look at all who are in a section: it sees all who have entered before, or they see that they have to wake it.
    pub(crate) fn looks(&self) {
        self.0.store(NEVER, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// It has looked, and sleeps until then, unless it was woken since it began to look.
    pub(crate) fn sleeps_until(&self, next: u64) {
        self.0.store(next, Ordering::Relaxed);
    }

    /// Somebody has entered, and his deadline is this one: is the thread to be woken for it?
    pub(crate) fn is_late_for(&self, deadline: u64) -> bool {
        if deadline == NEVER {
            return false;
        }
        fence(Ordering::SeqCst);
        deadline < self.0.load(Ordering::Relaxed)
    }
}
