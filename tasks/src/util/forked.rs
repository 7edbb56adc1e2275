//! Knowing that this process is a forked child.
//!
//! Only the forking thread lives in the child. No worker runs, and locks may be held by threads that do not exist. So
//! nothing is a task there any more, and the wrappers block.
//!
//! A child cannot have a runtime of its own either. What all runtimes of a process share (stacks, the list of tasks, helper
//! threads) is as the parent's threads have left it, in the middle of something. Whoever needs a runtime in a child forks before
//! the first is made, or execs.

use super::thread_start;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static FORKED: AtomicBool = AtomicBool::new(false);

/// Whether this process was forked from one with a runtime: one in which [`watch_forks`](crate::watch_forks) was called. Then
/// [`current`](crate::current) is `None`, and nothing suspends or can be spawned.
#[inline]
pub fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// How often there was a fork on the way to this process (or a multiple of that), since [`count_forks`] was called.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Another number than in the parent, from the moment on that somebody had [asked for forks to be counted](count_forks).
#[inline]
pub fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Sees to it that [`forks`] counts, also in a process without a runtime, and that a fork waits for [threads that begin or
/// end](crate::start_thread). False: there is no memory for that; the next call tries again.
#[allow(unsafe_code)]
pub fn count_forks() -> bool {
    static COUNTED: AtomicBool = AtomicBool::new(false);
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
        thread_start::in_child();
    }
    if COUNTED.load(Ordering::Acquire) {
        return true;
    }
    // (Several that come at once have it counted several times, which does no harm.)
    // SAFETY: the handlers use atomics, and sleep.
    let failed = unsafe {
        libc::pthread_atfork(Some(thread_start::before_fork), Some(thread_start::after_fork), Some(in_child))
    };
    if failed == 0 {
        COUNTED.store(true, Ordering::Release);
    }
    failed == 0
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
