//! Bytes read from a position in a file.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::Room;
use super::on_file::OnFile;
use super::positioned::{self, Position, Way};
use super::sort;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, Readiness, Verdict};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;

/// pread(2); the result is the number of bytes, 0 at the end of the file.
#[derive(Clone, Copy, Debug)]
pub struct ReadAt {
    /// The file: one that has positions. (The ring would read from a pipe all the same.)
    pub fd: RawFd,
    /// Where the bytes go.
    pub buf: *mut u8,
    /// How many at the most.
    pub len: usize,
    /// Where in the file they are.
    pub offset: u64,
    /// It can be polled: [`Sort::can_be_polled`](crate::raw::Sort::can_be_polled) says so. The ring is not to have it then.
    pub polled: bool,
}

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for ReadAt {}

// SAFETY: `len` bytes at `buf` are written.
unsafe impl Carry for ReadAt {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        // (Of nothing the ring makes something else than the call does.)
        if self.polled || self.len == 0 {
            return None;
        }
        let len = sys::clamp(self.len);
        Some(opcode::Read::new(types::Fd(self.fd), self.buf, len).offset(self.offset).build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn is_worth_a_try(&self) -> bool {
        true
    }

    unsafe fn may_be_lost(&self, result: i32) -> bool {
        positioned::may_be_lost(self.fd, result, &[positioned::part(self.buf, self.len)])
    }

    fn judge(&self, result: i32) -> Verdict {
        positioned::judge(result)
    }
}

// SAFETY: as above.
unsafe impl Blocking for ReadAt {
    /// What is cached.
    unsafe fn at_once(&self) -> Option<i32> {
        if self.polled || self.len == 0 {
            return None;
        }
        // SAFETY: by contract.
        unsafe { positioned::read_all_now(self.fd, &[positioned::part(self.buf, self.len)], self.offset) }
    }

    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        let offset = self.offset as libc::off64_t;
        // SAFETY: by contract.
        sort::wait_at(self.fd, caller, || unsafe {
            libc::pread64(self.fd, self.buf.cast(), self.len, offset)
        })
    }
}

impl OnFile<Room> for ReadAt {
    fn kind(&self) -> EventKind {
        EventKind::ReadAt
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, may: &mut Position) {
        self.fd = fd;
        self.polled = may.check(fd, self.offset, Way::Read);
    }

    fn point(&mut self, memory: &mut Room) {
        (self.buf, self.len) = (memory.0.as_mut_ptr(), memory.0.capacity());
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.offset)
    }
}

impl Request {
    /// Reads at most `buffer.capacity()` bytes of a file from `offset` on, as pread(2) does; what the buffer held is replaced. The result is
    /// the number of bytes: fewer than there is room for at the end of the file, 0 behind it. The file's cursor stays where it is. What has
    /// no positions (a pipe, a socket) fails with `ESPIPE`, and so does a terminal; an offset beyond `i64::MAX` with `EINVAL`.
    ///
    /// On io_uring the ring reads; elsewhere what is cached is read at once, and a helper thread ([`work`](Self::work)) reads the rest. A
    /// read that has begun on a helper, or waits for the disk, may be complete before a cancel ends it. That of a device which has positions and
    /// lets a read wait all the same (a tap) waits as long as others wish, holds up nobody, and is ended if it is given up. What can be polled
    /// although it has positions might have the ring wait, too: it is a helper's on each driver (a file of FUSE, of /proc or /sys).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::fs::File;
    /// let channel = EventChannel::new()?;
    /// let source = File::open("Cargo.toml")?;
    /// channel.post(Request::read_at(source, Vec::with_capacity(7), 1))?;
    /// assert_eq!(channel.get_event()?.buffer(), b"package");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_at(file: impl Into<Source>, buffer: Vec<u8>, offset: u64) -> Self {
        let operation = ReadAt { fd: -1, buf: std::ptr::null_mut(), len: 0, offset, polled: false };
        Self::on_file(file, operation, Room(buffer))
    }
}
