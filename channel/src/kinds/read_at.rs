//! Bytes read from a position in a file.

#![allow(unsafe_code)]

use super::EventKind;
use super::positioned::{self, Position};
use crate::events::body::Kept;
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
}

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for ReadAt {}

// SAFETY: `len` bytes at `buf` are written.
unsafe impl Carry for ReadAt {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        let len = sys::clamp(self.len);
        Some(opcode::Read::new(types::Fd(self.fd), self.buf, len).offset(self.offset).build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn is_worth_a_try(&self) -> bool {
        true
    }

    fn faults_with_its_submitter(&self) -> bool {
        true
    }

    fn judge(&self, result: i32) -> Verdict {
        positioned::judge(result)
    }
}

// SAFETY: as above.
unsafe impl Blocking for ReadAt {
    /// What is cached. (Less than asked for is all there is only at the end of the file.)
    unsafe fn at_once(&self) -> Option<i32> {
        let iov = |from: usize| libc::iovec {
            iov_base: self.buf.wrapping_add(from).cast(),
            iov_len: self.len - from,
        };
        // SAFETY: by contract.
        let read = |from: usize| unsafe {
            positioned::read_now(self.fd, &[iov(from)], self.offset.wrapping_add(from as u64))
        };
        match read(0)? {
            n @ 1.. if (n as usize) < self.len => (read(n as usize)? == 0).then_some(n),
            n => Some(n),
        }
    }

    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        let offset = self.offset as libc::off64_t;
        // SAFETY: by contract.
        sys::blocking(|| unsafe { libc::pread64(self.fd, self.buf.cast(), self.len, offset) })
    }
}

struct Held {
    file: Source,
    buffer: Vec<u8>,
    operation: ReadAt,
    position: Position,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::ReadAt as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("file")
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.file)
    }

    fn prepare(&mut self) {
        self.operation.fd = self.file.raw();
        self.position.check(self.operation.fd, self.operation.offset);
        self.buffer.clear();
    }

    fn point(&mut self) -> *const dyn Carry {
        (self.operation.buf, self.operation.len) = (self.buffer.as_mut_ptr(), self.buffer.capacity());
        self.position.or_refused(&raw const self.operation)
    }

    fn finish(&mut self, result: i32) -> i32 {
        // SAFETY: that many bytes of the capacity have been written.
        unsafe { super::received(&mut self.buffer, result) };
        result
    }

    fn buffer(&self) -> Option<&Vec<u8>> {
        Some(&self.buffer)
    }

    fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.buffer)
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.operation.offset)
    }
}

impl Request {
    /// Reads at most `buffer.capacity()` bytes of a file from `offset` on, as pread(2) does; what the buffer held is replaced. The result is
    /// the number of bytes: fewer than there is room for at the end of the file, 0 behind it. The file's cursor stays where it is. What has
    /// no positions (a pipe, a socket) fails with `ESPIPE`, and so does a terminal; an offset beyond `i64::MAX` with `EINVAL`.
    ///
    /// On io_uring the ring reads; elsewhere what is cached is read at once, and a helper thread ([`work`](Self::work)) reads the rest. A
    /// read that has begun on a helper, or waits for the disk, may be complete before a cancel ends it.
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
        let operation = ReadAt { fd: -1, buf: std::ptr::null_mut(), len: 0, offset };
        Self::of(Held { file: file.into(), buffer, operation, position: Position::default() })
    }
}
