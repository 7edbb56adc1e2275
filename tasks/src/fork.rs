//! Knowing that this process is a forked child.
//!
//! In the child only the forking thread lives: no worker runs, and locks may be held by threads
//! that do not exist. So there nothing is a task any more, and the wrappers block.

#![allow(unsafe_code)]

use crate::births;
use std::io;
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
///
/// # Errors
/// No memory for that. A child would take itself for its parent, so there must be no runtime then; the next call tries again.
#[inline]
pub fn watch_forks() -> io::Result<()> {
    if WATCHED.load(Ordering::Acquire) { Ok(()) } else { begin_to_watch() }
}

static WATCHED: AtomicBool = AtomicBool::new(false);

#[cold]
fn begin_to_watch() -> io::Result<()> {
    extern "C" fn in_child() {
        FORKED.store(true, Ordering::Relaxed);
        crate::own::after_fork();
    }
    // Under no lock: this allocates. (Several that come at once register the handlers several times, which does no harm.)
    // SAFETY: the handlers use atomics, sleep, and make a system call.
    let failed =
        unsafe { libc::pthread_atfork(Some(births::before_fork), Some(births::after_fork), Some(in_child)) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    WATCHED.store(true, Ordering::Release);
    Ok(())
}
