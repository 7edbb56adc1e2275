//! What a task was told about stopping, and whether somebody is to end the call that it makes (`wait/section.rs`).
//! `pool/tests/interrupt_model.rs` checks with loom how the two meet.

use super::sync::{AtomicU8, Ordering};

/// A cancel waits to be delivered.
const PENDING: u8 = 1;
/// There was one, ever.
const LATCHED: u8 = 2;
/// It is delivered at each cancellation point from now on.
const STICKY: u8 = 4;
/// It is in a section.
const SECTION: u8 = 8;
/// The section was left elsewhere, while the task was on a thread in it.
const SECTION_OVER: u8 = 16;

/// See `wait/cancel.rs`, which says how it meets the announcement of a wait.
pub(crate) struct CancelFlags(AtomicU8);

impl CancelFlags {
    pub(crate) fn new() -> Self {
        CancelFlags(AtomicU8::new(0))
    }

    /// Asks the task to stop: once, or, if `sticky`, at each cancellation point. Gives whether it is in a section.
    pub(crate) fn ask(&self, sticky: bool) -> bool {
        let told = PENDING | LATCHED | if sticky { STICKY } else { 0 };
        self.0.fetch_or(told, Ordering::SeqCst) & SECTION != 0
    }

    /// Is the task in a section?
    #[inline]
    pub(crate) fn in_section(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SECTION != 0
    }

    /// The task is in a section, and can be found. Who asks it to stop from now on hears of that, and sees what came before this; whether
    /// somebody has asked before is the answer.
    pub(crate) fn enter_section(&self) -> bool {
        if self.0.load(Ordering::Relaxed) & SECTION_OVER != 0 {
            self.0.fetch_and(!SECTION_OVER, Ordering::SeqCst);
        }
        self.0.fetch_or(SECTION, Ordering::SeqCst) & PENDING != 0
    }

    pub(crate) fn leave_section(&self) {
        self.0.fetch_and(!(SECTION | SECTION_OVER), Ordering::SeqCst);
    }

    /// Whoever calls is not the task: that leaves its thread by itself, when it suspends.
    pub(crate) fn end_section(&self) {
        self.0.fetch_or(SECTION_OVER, Ordering::SeqCst);
    }

    pub(crate) fn section_is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst) & SECTION_OVER != 0
    }

    pub(crate) fn was_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LATCHED != 0
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.0.load(Ordering::SeqCst) & PENDING != 0
    }

    /// The task takes what waits to be delivered, at a cancellation point. False: nothing does.
    pub(crate) fn take(&self) -> bool {
        let seen = self.0.load(Ordering::SeqCst);
        if seen & PENDING == 0 {
            return false;
        }
        // Only the task itself clears the bit, so it is still there.
        if seen & STICKY == 0 && self.0.fetch_and(!PENDING, Ordering::SeqCst) & STICKY != 0 {
            // It became sticky in between.
            self.0.fetch_or(PENDING, Ordering::SeqCst);
        }
        true
    }
}
