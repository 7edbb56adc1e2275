//! A bell with a descriptor.

#![allow(unsafe_code)]

use super::{errno, now, ready_now, set_errno};
use crate::fork;
use crate::posts::Bell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An eventfd that does not block. A forked child closes it, for its mode and what it counts would be its parent's, too: handlers there do
/// not ring it.
pub(crate) struct Eventfd(fork::Owned);

impl Eventfd {
    pub(crate) fn new() -> io::Result<Self> {
        fork::watch()?;
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours.
        Ok(Eventfd(fork::Owned::new(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Readable while it rings.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Bell for Eventfd {
    fn ring(&self) {
        ring(self.fd());
    }

    /// (It does not wait either if somebody who shares the file, as a child of clone(2) does, has made it block.)
    fn hush(&self) {
        let (fd, mut rung) = (self.fd(), 0u64);
        let into = libc::iovec { iov_base: (&raw mut rung).cast(), iov_len: size_of::<u64>() };
        // SAFETY: room for eight bytes.
        let hushed = now(|| unsafe { libc::preadv2(fd, &into, 1, -1, libc::RWF_NOWAIT) });
        // (Before Linux 5.8 there is no such flag for it.)
        if hushed == Some(-libc::EOPNOTSUPP) && ready_now(fd, libc::POLLIN).is_ok_and(|ready| ready != 0) {
            // SAFETY: room for eight bytes.
            unsafe { libc::read(fd, (&raw mut rung).cast(), size_of::<u64>()) };
        }
    }
}

/// Rings the bell of this descriptor. Signal handlers may do so: `errno` stays. (If it is too full for another ring it is readable.)
pub(crate) fn ring(fd: RawFd) {
    let (errno, one) = (errno(), 1u64);
    // SAFETY: eight live bytes.
    unsafe { libc::write(fd, (&raw const one).cast(), size_of::<u64>()) };
    set_errno(errno);
}
