//! What reads and writes of files have in common.

#![allow(unsafe_code)]

use super::refused::Refused;
use super::sort::Sort;
use crate::operation::{Carry, Verdict, is_interrupted};
use crate::sys;
use std::os::fd::RawFd;

/// Only what is there without waiting.
const NOWAIT: i32 = libc::RWF_NOWAIT;
/// In place of an offset: the file's cursor.
pub(super) const CURSOR: u64 = u64::MAX;
/// What lies in one page is written whole, or not at all. (No page is smaller.)
const PAGE: u64 = 4096;

/// What is to be done there.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Read,
    Write,
}

/// May it be asked for? What pread(2) and pwrite(2) refuse the ring would do all the same: it reads from what has no positions, and takes
/// the last offset of all for the file's cursor. And it waits for what can be polled, if that cannot be read.
#[derive(Default)]
pub(super) struct Position {
    /// The descriptor that has been found to have positions, and whether it [can be polled](Sort::can_be_polled).
    known: Option<(RawFd, bool)>,
    refused: Option<Refused>,
}

impl Position {
    /// Before each post. Gives whether the descriptor can be polled.
    pub(super) fn check(&mut self, fd: RawFd, offset: u64, way: Way) -> bool {
        self.refused = None;
        let Ok(offset) = libc::off64_t::try_from(offset) else {
            self.refused = Some(Refused(libc::EINVAL));
            return false;
        };
        if let Some((known, polled)) = self.known
            && known == fd
        {
            return polled;
        }
        // A call for not even one part looks at what the descriptor may, and does not call the file: that might wait, or take something.
        // SAFETY: no byte is read or written.
        let asked = unsafe {
            match way {
                Way::Read => libc::preadv64(fd, std::ptr::null(), 0, offset),
                Way::Write => libc::pwritev64(fd, std::ptr::null(), 0, offset),
            }
        };
        if asked < 0
            && let errno @ (libc::EBADF | libc::EINVAL | libc::ESPIPE) = sys::errno()
        {
            self.refused = Some(Refused(errno));
            return false;
        }
        let polled = Sort::can_be_polled(fd);
        self.known = Some((fd, polled));
        polled
    }

    /// Before each post, of what needs no position.
    pub(super) fn set(&mut self, refused: Option<Refused>) {
        self.refused = refused;
    }

    /// What is to be done: that, or to refuse it.
    pub(super) fn or_refused(&self, operation: *const dyn Carry) -> *const dyn Carry {
        self.refused.as_ref().map_or(operation, |refused| &raw const *refused as *const dyn Carry)
    }
}

/// If its submitter exits, what is on its way through the page cache ends in EFAULT, or in the bytes until there. (What comes from a device may
/// not be there a second time.)
pub(super) fn may_be_lost(fd: RawFd, result: i32, wanted: usize) -> bool {
    let is_short = usize::try_from(result).is_ok_and(|n| n < wanted);
    (is_short || result == -libc::EFAULT) && matches!(Sort::of(fd), Ok(Sort::File(_)))
}

/// Are the buffers such as a file wants them that is read past the page cache?
fn may_pass_the_cache(buffers: &[libc::iovec], offset: u64) -> bool {
    const SECTOR: usize = 512;
    let aligned =
        |it: &libc::iovec| it.iov_base.addr().is_multiple_of(SECTOR) && it.iov_len.is_multiple_of(SECTOR);
    offset.is_multiple_of(SECTOR as u64) && buffers.iter().all(aligned)
}

fn passes_the_cache(fd: RawFd) -> bool {
    flags(fd) & libc::O_DIRECT != 0
}

/// The flags that the file was opened with. (If they cannot be had: none.)
pub(super) fn flags(fd: RawFd) -> i32 {
    // SAFETY: no pointer is passed.
    unsafe { libc::fcntl(fd, libc::F_GETFL) }.max(0)
}

pub(super) fn part(at: *const u8, len: usize) -> libc::iovec {
    libc::iovec { iov_base: at.cast_mut().cast(), iov_len: len }
}

/// The list of so many parts.
///
/// # Safety
/// They are there, unless there are none, and stay as long as the list is used.
pub(super) unsafe fn list<'a>(parts: *const libc::iovec, count: usize) -> &'a [libc::iovec] {
    // SAFETY: by contract.
    if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(parts, count) } }
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

/// Reads all that there is, if it is cached. `None`: some of it is not, or it cannot be told without waiting.
///
/// # Safety
/// As preadv2(2).
pub(super) unsafe fn read_all_now(fd: RawFd, into: &[libc::iovec], offset: u64) -> Option<i32> {
    // SAFETY: by contract.
    let n = unsafe { read_now(fd, into, offset) }?;
    if n == 0 || n as usize == len(into) {
        return Some(n);
    }
    // Less than asked for is all there is only at the end of the file.
    let mut next = 0u8;
    // SAFETY: a live byte.
    let is_end = unsafe { read_now(fd, &[part(&raw mut next, 1)], offset.wrapping_add(n as u64)) }? == 0;
    is_end.then_some(n)
}

/// As many bytes as the kernel transfers at the most.
fn len(parts: &[libc::iovec]) -> usize {
    let all = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.iov_len));
    sys::clamp(all) as usize
}

/// Writes at a position of a file that was opened with these flags, if that goes without waiting and as a whole.
///
/// What might go in pieces is left to a call that waits: half a write that is cancelled would be neither done nor cancelled.
///
/// # Safety
/// As pwritev2(2).
pub(super) unsafe fn write_all_now(fd: RawFd, from: &[libc::iovec], offset: u64, flags: i32) -> Option<i32> {
    // (`O_SYNC` has the bits of `O_DSYNC`.)
    let goes_further = flags & (libc::O_APPEND | libc::O_DIRECT | libc::O_DSYNC) != 0;
    let len = len(from) as u64;
    if goes_further || len == 0 || offset % PAGE + len > PAGE {
        return None;
    }
    // SAFETY: by contract.
    let n = unsafe { libc::pwritev2(fd, from.as_ptr(), from.len() as i32, offset as libc::off64_t, NOWAIT) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;

    /// What goes by the cache goes by whole pages.
    #[repr(align(4096))]
    struct Page([u8; PAGE as usize]);

    fn again(file: &File, flags: i32) -> std::io::Result<File> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
    }

    #[test]
    fn only_what_the_cache_has_is_read_at_once_and_only_what_is_whole_is_written_so() {
        let path = std::env::temp_dir().join(format!("ec-positioned-{}", std::process::id()));
        let mut page = Page([7; PAGE as usize]);
        std::fs::write(&path, page.0).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        // (What is not on the disk yet would be waited for first.)
        file.sync_all().unwrap();
        let into = [part(page.0.as_mut_ptr(), page.0.len())];
        // SAFETY: a live page.
        let read = |file: &File, offset| unsafe { read_all_now(file.as_raw_fd(), &into, offset) };
        if read(&file, 0).is_none() {
            return ec_test_support::skipped("this file system says of nothing that it is cached");
        }
        assert_eq!((read(&file, 0), read(&file, 96), read(&file, PAGE)), (Some(4096), Some(4000), Some(0)));
        // SAFETY: as above.
        let write =
            |file: &File, offset, flags| unsafe { write_all_now(file.as_raw_fd(), &into, offset, flags) };
        assert!(matches!(write(&file, 0, 0), None | Some(4096)));
        assert_eq!(write(&file, 1, 0), None, "over the end of a page");
        // (What is in the cache would be thrown out first.)
        // SAFETY: no pointer is passed.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        for flags in [libc::O_APPEND, libc::O_DSYNC, libc::O_DIRECT] {
            match again(&file, flags) {
                Ok(file) => assert_eq!(write(&file, 0, self::flags(file.as_raw_fd())), None),
                Err(error) => ec_test_support::skipped(&format!("{flags:o}: {error}")),
            }
        }
        if let Ok(file) = again(&file, libc::O_DIRECT) {
            assert_eq!(read(&file, 0), None);
        }
    }
}
