//! What reads and writes at a position in a file have in common.

#![allow(unsafe_code)]

use super::refused::Refused;
use crate::operation::{Carry, Verdict, is_interrupted};
use crate::sys;
use std::os::fd::RawFd;

/// Only what is there without waiting.
const NOWAIT: i32 = libc::RWF_NOWAIT;

/// Is there such a position? What pread(2) and pwrite(2) refuse the ring would do all the same: it reads from what has no positions, and takes
/// the last offset of all for the file's cursor.
#[derive(Default)]
pub(super) struct Position {
    /// The descriptor that has been found to have positions.
    has_positions: Option<RawFd>,
    refused: Option<Refused>,
}

impl Position {
    /// Before each post.
    pub(super) fn check(&mut self, fd: RawFd, offset: u64) {
        self.refused = None;
        let Ok(offset) = libc::off64_t::try_from(offset) else {
            self.refused = Some(Refused(libc::EINVAL));
            return;
        };
        if self.has_positions == Some(fd) {
            return;
        }
        // A read of nothing asks for no lock of the file's, as lseek(2) and a write of nothing would, and may not be allowed.
        // SAFETY: no byte is written to.
        let asked = unsafe { libc::pread64(fd, std::ptr::null_mut(), 0, offset) };
        if asked < 0 && sys::errno() == libc::ESPIPE {
            self.refused = Some(Refused(libc::ESPIPE));
        } else {
            self.has_positions = Some(fd);
        }
    }

    /// What is to be done: that, or to refuse it.
    pub(super) fn or_refused(&self, operation: *const dyn Carry) -> *const dyn Carry {
        self.refused.as_ref().map_or(operation, |refused| &raw const *refused as *const dyn Carry)
    }
}

/// Are the buffers such as a file wants them that is read past the page cache?
fn may_pass_the_cache(buffers: &[libc::iovec], offset: u64) -> bool {
    const SECTOR: usize = 512;
    let aligned =
        |it: &libc::iovec| it.iov_base.addr().is_multiple_of(SECTOR) && it.iov_len.is_multiple_of(SECTOR);
    offset.is_multiple_of(SECTOR as u64) && buffers.iter().all(aligned)
}

fn passes_the_cache(fd: RawFd) -> bool {
    // SAFETY: a question.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_DIRECT != 0
}

/// Reads what is cached. `None`: nothing is, or it cannot be told without waiting.
///
/// # Safety
/// As preadv2(2).
pub(super) unsafe fn read_now(fd: RawFd, into: &[libc::iovec], offset: u64) -> Option<i32> {
    if may_pass_the_cache(into, offset) && passes_the_cache(fd) {
        // (It would wait for the disk all the same.)
        return None;
    }
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
