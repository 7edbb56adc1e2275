//! While a worker is inside user code.

use crate::core::stats::{CoreStats, bump};
use crate::worker::context::Context;
use std::sync::atomic::Ordering;

/// Inside user code: the core may be handed over. Also if that unwinds.
pub(crate) struct UserCode<'a> {
    context: &'a Context,
    stats: &'a CoreStats,
}

impl<'a> UserCode<'a> {
    #[inline]
    pub(crate) fn new(context: &'a Context, stats: &'a CoreStats) -> UserCode<'a> {
        bump(&stats.runs);
        stats.in_user_code.store(true, Ordering::Relaxed);
        context.enter_user_code();
        UserCode { context, stats }
    }

    /// Back in the loop. False: without a core.
    #[inline]
    pub(crate) fn end(self) -> bool {
        let has_core = self.leave_user_code();
        std::mem::forget(self);
        has_core
    }

    #[inline]
    fn leave_user_code(&self) -> bool {
        let has_core = self.context.leave_user_code();
        if has_core {
            // (Else they are another's by now.)
            self.stats.in_user_code.store(false, Ordering::Relaxed);
        }
        has_core
    }
}

impl Drop for UserCode<'_> {
    fn drop(&mut self) {
        self.leave_user_code();
    }
}
