//! While a worker is inside user code.

use crate::metrics::{CoreStats, bump};
use crate::seat::Seat;
use std::sync::atomic::Ordering;

/// Inside user code: the core may be handed over. Also if that unwinds.
pub(crate) struct Outside<'a> {
    seat: &'a Seat,
    stats: &'a CoreStats,
}

impl<'a> Outside<'a> {
    #[inline]
    pub(crate) fn new(seat: &'a Seat, stats: &'a CoreStats) -> Outside<'a> {
        bump(&stats.runs);
        stats.busy.store(true, Ordering::Relaxed);
        seat.go_out();
        Outside { seat, stats }
    }

    /// Back in the loop. False: without a core.
    #[inline]
    pub(crate) fn end(self) -> bool {
        let has_core = self.come_back();
        std::mem::forget(self);
        has_core
    }

    #[inline]
    fn come_back(&self) -> bool {
        let has_core = self.seat.come_back();
        if has_core {
            // (Else they are another's by now.)
            self.stats.busy.store(false, Ordering::Relaxed);
        }
        has_core
    }
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        self.come_back();
    }
}
