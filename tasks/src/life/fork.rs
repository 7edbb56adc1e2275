//! What happens at a fork: a fork waits (for 100 ms at most) while a thread is being started (`util/thread_start.rs`), and the child knows that
//! it is a child.

#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::own;
use crate::util::{forked, lock};

static WATCHED: AtomicBool = AtomicBool::new(false);

/// Sees to it that children forked from now on know that they are; see [`forked`](crate::forked). A spawn does that by
/// itself; a runtime calls it before it has anything that is of no use in a child: its first thread.
///
/// # Errors
/// No memory for that. A child would take itself for its parent, so there must be no runtime then; the next call tries again.
#[inline]
pub fn watch_forks() -> io::Result<()> {
    if WATCHED.load(Ordering::Acquire) { Ok(()) } else { begin_to_watch() }
}

/// Ends this process with 0. It is a forked child, and the code that forked has returned to the worker that ran it: the child's only
/// thread is at its end. libc does the same when a thread's function returns in a child: `atexit` handlers run, and what std has
/// buffered for standard output, which may be the parent's, is not written.
pub fn end_child() -> ! {
    // SAFETY: exit(3) may be called from any thread, once; the thread that calls does not go on.
    unsafe { libc::exit(0) }
}

#[cold]
fn begin_to_watch() -> io::Result<()> {
    extern "C" fn in_child() {
        forked::note();
        own::after_fork();
    }
    // Under no lock: this allocates. (Several that come at once register the handlers several times, which does no harm.)
    let is_counted = forked::count_forks();
    // SAFETY: the handler uses atomics, and makes a system call.
    if !is_counted || unsafe { libc::pthread_atfork(None, None, Some(in_child)) } != 0 {
        return Err(io::Error::from_raw_os_error(libc::ENOMEM));
    }
    // (Here, since this comes before the first task.)
    lock::prepare();
    WATCHED.store(true, Ordering::Release);
    Ok(())
}
