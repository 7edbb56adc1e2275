//! Knowing that this process is a forked child.
//!
//! Only the forking thread lives in the child. No worker runs, and locks may be held by threads that do not exist. So
//! nothing is a task there any more, and the wrappers block.

use std::sync::atomic::{AtomicBool, Ordering};

static FORKED: AtomicBool = AtomicBool::new(false);

/// Whether this process was forked from one with a runtime: one in which [`watch_forks`](crate::watch_forks) was called. Then
/// [`current`](crate::current) is `None`, and nothing suspends or can be spawned.
#[inline]
pub fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// This is a forked child, from here on.
pub(crate) fn note() {
    FORKED.store(true, Ordering::Relaxed);
}
