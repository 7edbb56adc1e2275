//! After fork(2) the child must not touch the parent's rings: a child's submission would be the parent's.
//!
//! The child handler closes the channels' descriptors in the child (of the first 2,048; what there is beyond is merely inherited)
//! and marks the process. A channel that exists there refuses every call. Dropping it drops nothing of the
//! program's: events that are ready and the channel's data are the parent's. None can be made.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

static FORKED: AtomicBool = AtomicBool::new(false);
/// The handler is there.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// The descriptors to close in a child, plus one; 0 is a free place. What finds none is merely inherited.
static OPEN: [AtomicI32; 2048] = [const { AtomicI32::new(0) }; 2048];

/// Whether this process is the forked child of one that had a channel.
pub(crate) fn is_child() -> bool {
    FORKED.load(Ordering::Relaxed)
}

extern "C" fn in_child() {
    FORKED.store(true, Ordering::SeqCst);
    for place in &OPEN {
        let fd = place.swap(0, Ordering::Relaxed) - 1;
        if fd >= 0 {
            // SAFETY: close(2) may be called in a forked child; its owner knows by `is_child` that it has gone.
            unsafe { libc::close(fd) };
        }
    }
}

/// In a thread of a channel's: whoever forked here has returned in the child, which has no such thread.
pub(crate) fn end_child() -> ! {
    // SAFETY: exit(3) may be called from any thread, once; the thread that calls does not go on.
    unsafe { libc::exit(0) }
}

/// A descriptor of the channel's own, closed in forked children.
pub(crate) struct Owned {
    fd: Option<OwnedFd>,
    place: Option<usize>,
    /// Its number may be another file's.
    lost: bool,
}

impl Owned {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { place: register(fd.as_raw_fd()), fd: Some(fd), lost: false }
    }

    /// Somebody else has closed it, as it seems: it is not closed again.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
        forget(self.place.take());
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("there until drop").as_fd()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let fd = self.fd.take().expect("dropped once");
        if is_child() {
            let _gone = fd.into_raw_fd();
            return;
        }
        forget(self.place);
        if self.lost || is_closed(fd.as_raw_fd()) {
            let _gone = fd.into_raw_fd();
        }
    }
}

/// Is there no descriptor of this number?
pub(crate) fn is_closed(fd: i32) -> bool {
    // SAFETY: a question.
    unsafe { libc::fcntl(fd, libc::F_GETFD) < 0 }
}

/// Before the first descriptor is made: children forked from now on know that they are. Without that there must be no channel, for a
/// child would use its parent's rings.
pub(crate) fn watch() -> io::Result<()> {
    if !WATCHED.load(Ordering::Acquire) {
        // Under no lock: this allocates. (Several that come at once register the handler several times, which does no harm.)
        // SAFETY: the handler only uses atomics and close(2).
        let failed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        WATCHED.store(true, Ordering::Release);
    }
    Ok(())
}

/// Notes a descriptor that a forked child is to close.
pub(crate) fn register(fd: i32) -> Option<usize> {
    OPEN.iter().position(|p| p.compare_exchange(0, fd + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok())
}

/// Takes a note back, before the descriptor is closed.
pub(crate) fn forget(place: Option<usize>) {
    if let Some(p) = place {
        OPEN[p].store(0, Ordering::Relaxed);
    }
}
