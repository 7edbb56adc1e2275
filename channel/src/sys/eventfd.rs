//! A bell with a descriptor.

#![allow(unsafe_code)]

use super::{errno, set_errno};
use crate::fork;
use crate::posts::Bell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An eventfd that does not block. (A forked child keeps it: its number must not come to mean something else under a signal handler.)
pub(crate) struct Eventfd(OwnedFd);

impl Eventfd {
    pub(crate) fn new() -> io::Result<Self> {
        fork::watch()?;
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours.
        Ok(Eventfd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Readable while it rings.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Bell for Eventfd {
    fn ring(&self) {
        ring(self.fd());
    }

    fn hush(&self) {
        let mut rung = 0u64;
        // SAFETY: room for eight bytes.
        unsafe { libc::read(self.fd(), (&raw mut rung).cast(), size_of::<u64>()) };
    }
}

/// Rings the bell of this descriptor. Signal handlers may do so: `errno` stays. (If it is too full for another ring it is readable.)
pub(crate) fn ring(fd: RawFd) {
    let (errno, one) = (errno(), 1u64);
    // SAFETY: eight live bytes.
    unsafe { libc::write(fd, (&raw const one).cast(), size_of::<u64>()) };
    set_errno(errno);
}
