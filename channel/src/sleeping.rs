//! How many sleep who are to be called when something is made ready.
//!
//! Whoever makes something ready puts it into the queue, without a lock, and then looks whether [anybody](Sleeping::anybody) sleeps. Whoever
//! is about to sleep [says](Sleeping::tell) so, and then looks into the queue. There is a fence between the two steps of each: so one of
//! them sees the other.

use crate::sync::{AtomicUsize, Ordering, fence};

/// See the module.
pub(crate) struct Sleeping(AtomicUsize);

impl Sleeping {
    /// Nobody does.
    pub(crate) fn new() -> Self {
        Sleeping(AtomicUsize::new(0))
    }

    /// Does anybody sleep, or is about to? What was made ready before is seen by whoever says so later.
    #[inline]
    pub(crate) fn anybody(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) > 0
    }

    /// So many do, or are about to. (One at a time says so.) What is looked at next shows what was made ready by those who did not see this.
    pub(crate) fn tell(&self, many: usize) {
        self.0.store(many, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

impl Default for Sleeping {
    fn default() -> Self {
        Self::new()
    }
}
