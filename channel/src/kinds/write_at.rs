//! Bytes written at a position in a file.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::Bytes;
use super::on_file::OnFile;
use super::positioned::{self, Position, Way};
use super::sort;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, Readiness, Verdict};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;

/// pwrite(2); the result is the number of bytes.
#[derive(Clone, Copy, Debug)]
pub struct WriteAt {
    /// The file: one that has positions. (The ring would write to a pipe all the same.)
    pub fd: RawFd,
    /// Where the bytes are.
    pub buf: *const u8,
    /// How many.
    pub len: usize,
    /// Where in the file they go.
    pub offset: u64,
    /// The file's flags, as `F_GETFL` gives them. With `O_APPEND` it appends, whatever the offset is, and must not be done twice.
    pub flags: i32,
    /// It can be polled: [`Sort::can_be_polled`](crate::raw::Sort::can_be_polled) says so. The ring is not to have it then.
    pub polled: bool,
}

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for WriteAt {}

// SAFETY: `len` bytes at `buf` are read.
unsafe impl Carry for WriteAt {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        // (Of nothing the ring makes something else than the call does.)
        if self.flags & libc::O_APPEND != 0 || self.polled || self.len == 0 {
            return None;
        }
        let len = sys::clamp(self.len);
        Some(opcode::Write::new(types::Fd(self.fd), self.buf, len).offset(self.offset).build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    unsafe fn may_be_lost(&self, result: i32) -> bool {
        positioned::may_be_lost(self.fd, result, &[positioned::part(self.buf, self.len)])
    }

    fn judge(&self, result: i32) -> Verdict {
        positioned::judge(result)
    }
}

// SAFETY: as above.
unsafe impl Blocking for WriteAt {
    unsafe fn at_once(&self) -> Option<i32> {
        if self.polled {
            return None;
        }
        let from = [positioned::part(self.buf, self.len)];
        // SAFETY: by contract.
        unsafe { positioned::write_all_now(self.fd, &from, self.offset, self.flags) }
    }

    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        let offset = self.offset as libc::off64_t;
        // SAFETY: by contract.
        sort::wait_at(self.fd, caller, || unsafe {
            libc::pwrite64(self.fd, self.buf.cast(), self.len, offset)
        })
    }
}

impl OnFile<Bytes> for WriteAt {
    fn kind(&self) -> EventKind {
        EventKind::WriteAt
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, may: &mut Position) {
        (self.fd, self.flags) = (fd, positioned::flags(fd));
        self.polled = may.check(fd, self.offset, Way::Write);
    }

    fn point(&mut self, memory: &mut Bytes) {
        (self.buf, self.len) = (memory.0.as_ptr(), memory.0.len());
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.offset)
    }
}

impl Request {
    /// Writes the buffer to a file at `offset`, as pwrite(2) does; a file that ends before it grows. The result is the number of bytes: fewer
    /// than there are if the disk, or the process's limit of sizes, ends meanwhile (the next one fails then: `ENOSPC`, `EFBIG`), or if
    /// there are more than 2,147,479,552. The file's cursor stays where it is. To a file opened with `O_APPEND` the kernel appends, whatever
    /// the offset is: once. What has no positions (a pipe, a socket, a terminal) fails with `ESPIPE`; an offset beyond `i64::MAX` with
    /// `EINVAL`.
    ///
    /// On io_uring the ring writes; elsewhere, and where it appends or the file can be polled (see [`read_at`](Self::read_at)), a helper
    /// thread ([`work`](Self::work)) does, unless it is done at once without waiting, as some file systems can. A write that has begun may be
    /// complete before a cancel ends it; one that waits for a device, and not for a file, is ended. The kernel signals a
    /// write beyond the process's limit of sizes by `SIGXFSZ`, which ends the process unless the program ignores or handles it.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{fs::File, sync::Arc};
    /// # let path = std::env::temp_dir().join(format!("ec-write-at-{}", std::process::id()));
    /// let channel = EventChannel::new()?;
    /// let file = Arc::new(File::create_new(&path)?);
    /// channel.post(Request::write_at(file.clone(), b"world".to_vec(), 7))?;
    /// channel.post(Request::write_at(file, b"hello, ".to_vec(), 0))?;
    /// assert_eq!(channel.get_event()?.result()? + channel.get_event()?.result()?, 12);
    /// assert_eq!(std::fs::read(&path)?, b"hello, world");
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_at(file: impl Into<Source>, buffer: Vec<u8>, offset: u64) -> Self {
        let operation = WriteAt { fd: -1, buf: std::ptr::null(), len: 0, offset, flags: 0, polled: false };
        Self::on_file(file, operation, Bytes(buffer))
    }
}
