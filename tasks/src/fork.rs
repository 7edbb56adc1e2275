//! Knowing that this process is a forked child.
//!
//! In the child only the forking thread lives: no worker runs, and locks may be held by threads
//! that do not exist. So there nothing is a task any more, and the wrappers block.

use crate::births;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static FORKED: AtomicBool = AtomicBool::new(false);

/// Whether this process was forked from one with a runtime: one in which [`watch_forks`] was called. Then [`current`](crate::current)
/// is `None`, and nothing suspends or can be spawned.
#[inline]
pub fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Sees to it that children forked from now on know that they are; see [`forked`]. A spawn does that by
/// itself; a runtime calls it before it has anything that is of no use in a child: its first thread.
pub fn watch_forks() {
    extern "C" fn in_child() {
        FORKED.store(true, Ordering::Relaxed);
        crate::own::after_fork();
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers use atomics, sleep, and make a system call.
        unsafe {
            libc::pthread_atfork(Some(births::before_fork), Some(births::after_fork), Some(in_child));
        }
    });
}
