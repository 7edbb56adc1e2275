//! Knowing that this process is a forked child.
//!
//! Only the forking thread lives in the child. No worker runs, and locks may be held by threads that do not exist. So
//! nothing is a task there any more, and the wrappers block.
//!
//! A child cannot have a runtime of its own either. What all runtimes of a process share (stacks, the list of tasks, helper
//! threads) is as the parent's threads have left it, in the middle of something. Whoever needs a runtime in a child forks before
//! the first is made, or execs.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static FORKED: AtomicBool = AtomicBool::new(false);

/// Whether this process was forked from one with a runtime: one in which [`watch_forks`](crate::watch_forks) was called. Then
/// [`current`](crate::current) is `None`, and nothing suspends or can be spawned.
#[inline]
pub fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// What a forked child is told: `what` cannot be done, why, and what to do instead.
pub fn forked_error(what: &str) -> io::Error {
    let why = "this is a forked child of a process that had a runtime, and a child has none (fork before the first, or exec)";
    io::Error::new(io::ErrorKind::Unsupported, format!("{what}: {why}"))
}

/// This is a forked child, from here on.
pub(crate) fn note() {
    FORKED.store(true, Ordering::Relaxed);
}
