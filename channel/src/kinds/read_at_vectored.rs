//! Bytes read from a position in a file into several buffers.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::AllRoom;
use super::on_file::OnFile;
use super::parts::Parts;
use super::positioned::{self, Position};
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, Readiness, Verdict};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;

/// preadv(2); the result is the number of bytes, 0 at the end of the file.
#[derive(Clone, Copy, Debug)]
pub struct ReadAtVectored {
    /// The file: one that has positions.
    pub fd: RawFd,
    /// Where the bytes go.
    pub parts: *const libc::iovec,
    /// How many parts.
    pub count: usize,
    /// Where in the file they are.
    pub offset: u64,
}

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for ReadAtVectored {}

// SAFETY: the parts are written.
unsafe impl Carry for ReadAtVectored {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        let count = sys::clamp(self.count);
        Some(opcode::Readv::new(types::Fd(self.fd), self.parts, count).offset(self.offset).build())
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
unsafe impl Blocking for ReadAtVectored {
    /// What is cached.
    unsafe fn at_once(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe {
            let into = positioned::list(self.parts, self.count);
            positioned::read_all_now(self.fd, into, self.offset)
        }
    }

    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        let (count, offset) = (sys::clamp(self.count) as i32, self.offset as libc::off64_t);
        // SAFETY: by contract.
        sys::blocking(|| unsafe { libc::preadv64(self.fd, self.parts, count, offset) })
    }
}

impl OnFile<AllRoom> for ReadAtVectored {
    fn kind(&self) -> EventKind {
        EventKind::ReadAtVectored
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, may: &mut Position) {
        self.fd = fd;
        may.check(fd, self.offset);
    }

    fn point(&mut self, memory: &mut AllRoom) {
        let list = memory.0.room();
        (self.parts, self.count) = (list.as_ptr(), list.len());
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.offset)
    }
}

impl Request {
    /// As [`read_at`](Self::read_at), into several buffers, as preadv(2) does: the first one is filled up to its capacity, then the next.
    /// What they held is replaced; those that nothing was left for are empty. See [`Event::buffers`](crate::Event::buffers).
    ///
    /// Those of no capacity are passed over. More than 1,024 others are refused (`EINVAL`).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::fs::File;
    /// let channel = EventChannel::new()?;
    /// let source = File::open("Cargo.toml")?;
    /// let (bracket, word) = (Vec::with_capacity(1), Vec::with_capacity(7));
    /// channel.post(Request::read_at_vectored(source, vec![bracket, word], 0))?;
    /// let event = channel.get_event()?;
    /// assert_eq!(event.buffers(), [&b"["[..], b"package"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_at_vectored(file: impl Into<Source>, buffers: Vec<Vec<u8>>, offset: u64) -> Self {
        let operation = ReadAtVectored { fd: -1, parts: std::ptr::null(), count: 0, offset };
        Self::on_file(file, operation, AllRoom(Parts::of(buffers)))
    }
}
