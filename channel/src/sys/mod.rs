//! System calls that do not wait, whatever mode the descriptor is in.

#![allow(unsafe_code)]

pub(crate) mod interrupt;
pub(crate) mod mode;

use std::io;
use std::os::fd::RawFd;

/// Why the system call that has just been made failed.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Makes a call that does not wait, again if a signal has interrupted it. Its result, or minus its errno; `None`: it would wait.
#[inline]
pub(crate) fn now(mut call: impl FnMut() -> isize) -> Option<i32> {
    loop {
        let n = call();
        if n >= 0 {
            // The kernel never transfers more than INT_MAX bytes at once.
            return Some(n as i32);
        }
        match errno() {
            libc::EINTR => {}
            libc::EAGAIN => return None,
            errno => return Some(-errno),
        }
    }
}

/// Which of `events`, or errors, are there right now; or why there is no telling.
pub(crate) fn ready_now(fd: RawFd, events: i16) -> Result<i16, i32> {
    let mut ask = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one live pollfd.
    match unsafe { libc::poll(&mut ask, 1, 0) } {
        0.. => Ok(ask.revents),
        _ => match errno() {
            // Nothing, as far as one knows.
            libc::EINTR => Ok(0),
            errno => Err(errno),
        },
    }
}

/// What is told of a descriptor if this was asked for: errors always are.
pub(crate) fn with_errors(events: i16) -> i16 {
    events | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL
}

/// The kernel transfers at most this much in one call anyway.
pub(crate) fn clamp(len: usize) -> u32 {
    len.min(0x7fff_f000) as u32
}

/// For recvmsg(2) and sendmsg(2), of one part.
pub(crate) fn message(
    part: *mut libc::iovec,
    name: *mut libc::sockaddr_storage,
    name_len: libc::socklen_t,
) -> libc::msghdr {
    // SAFETY: for this C structure all zeroes is a value. (It has hidden padding on musl.)
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (part, 1);
    (message.msg_name, message.msg_namelen) = (name.cast(), name_len);
    message
}
