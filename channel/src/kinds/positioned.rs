//! What reads and writes at a position in a file have in common.

#![allow(unsafe_code)]

use super::refused::Refused;
use crate::operation::{Verdict, is_interrupted};
use crate::sys;
use std::os::fd::RawFd;

/// Only what is there without waiting.
const NOWAIT: i32 = libc::RWF_NOWAIT;

/// There is no such position there, and this is what pread(2) and pwrite(2) say. (The ring would read from what has no positions all the same,
/// and take the last offset of all for the file's cursor.)
pub(super) fn check(fd: RawFd, offset: u64) -> Option<Refused> {
    let Ok(offset) = libc::off64_t::try_from(offset) else { return Some(Refused(libc::EINVAL)) };
    // A read of nothing asks for no lock of the file's, as lseek(2) and a write of nothing would, and may not be allowed.
    // SAFETY: no byte is written to.
    let asked = unsafe { libc::pread64(fd, std::ptr::null_mut(), 0, offset) };
    (asked < 0 && sys::errno() == libc::ESPIPE).then_some(Refused(libc::ESPIPE))
}

/// Reads what is cached. `None`: nothing is, or it cannot be told without waiting.
///
/// # Safety
/// As preadv2(2).
pub(super) unsafe fn read_now(fd: RawFd, into: &[libc::iovec], offset: u64) -> Option<i32> {
    // SAFETY: by contract.
    let n = unsafe { libc::preadv2(fd, into.as_ptr(), into.len() as i32, offset as libc::off64_t, NOWAIT) };
    (n >= 0).then_some(n as i32)
}

/// What the ring's result means: that of an operation that does no harm if it is done again.
pub(super) fn judge(result: i32) -> Verdict {
    match -result {
        // A file in non-blocking mode, and there is no waiting for it.
        libc::EAGAIN => Verdict::Help,
        errno if is_interrupted(errno) => Verdict::Again,
        _ => Verdict::Final,
    }
}
