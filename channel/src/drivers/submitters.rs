//! Threads that submit to rings, and how many of them have exited.
//!
//! A request belongs to the thread that submitted it. What the kernel ends when that exits looks like another error (EFAULT, of a read that
//! waits for the disk), or is also said for another reason (ECANCELED, when the kernel has no thread to give it to), so one has to know.

use std::sync::atomic::{AtomicU32, Ordering};

static EXITED: AtomicU32 = AtomicU32::new(0);

struct Submitter;

impl Drop for Submitter {
    fn drop(&mut self) {
        EXITED.fetch_add(1, Ordering::SeqCst);
    }
}

/// The calling thread submits. (Counted at the end of its thread-locals, before the kernel ends its requests. In a task they may be the
/// task's own: a runtime tells of its threads by [`will_submit`].)
#[inline]
pub(super) fn note() {
    thread_local!(static HERE: Submitter = const { Submitter });
    if HERE.try_with(|_| ()).is_err() {
        // It is ending already, and has been counted: what it submits now goes with it, too.
        EXITED.fetch_add(1, Ordering::SeqCst);
    }
}

/// So many have exited.
#[inline]
pub(crate) fn exited() -> u32 {
    EXITED.load(Ordering::SeqCst)
}

/// To be called at the beginning of a thread that drives channels from thread-locals that are not its own.
#[doc(hidden)]
pub fn will_submit() {
    note();
}
