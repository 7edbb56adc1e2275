//! Bytes read from a position in a file into several buffers.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::AllRoom;
use super::on_file::OnFile;
use super::parts::Parts;
use super::positioned::{self, Position, Way};
use super::sort;
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
    /// It can be polled: [`Sort::can_be_polled`](crate::raw::Sort::can_be_polled) says so. The ring is not to have it then.
    pub polled: bool,
}

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for ReadAtVectored {}

// SAFETY: the parts are written.
unsafe impl Carry for ReadAtVectored {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        // (Of nothing the ring makes something else than the call does.)
        if self.polled || self.count == 0 {
            return None;
        }
        let count = sys::clamp(self.count);
        Some(opcode::Readv::new(types::Fd(self.fd), self.parts, count).offset(self.offset).build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn is_worth_a_try(&self) -> bool {
        true
    }

    unsafe fn may_be_lost(&self, result: i32) -> bool {
        // SAFETY: by contract.
        positioned::may_be_lost(self.fd, result, unsafe { positioned::list(self.parts, self.count) })
    }

    fn judge(&self, result: i32) -> Verdict {
        positioned::judge(result)
    }
}

// SAFETY: as above.
unsafe impl Blocking for ReadAtVectored {
    /// What is cached.
    unsafe fn at_once(&self) -> Option<i32> {
        if self.polled {
            return None;
        }
        // SAFETY: by contract.
        unsafe {
            let into = positioned::list(self.parts, self.count);
            positioned::read_all_now(self.fd, into, self.offset)
        }
    }

    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        let (count, offset) = (sys::clamp(self.count) as i32, self.offset as libc::off64_t);
        // SAFETY: by contract.
        sort::wait_at(self.fd, caller, || unsafe { libc::preadv64(self.fd, self.parts, count, offset) })
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
        self.polled = may.check(fd, self.offset, Way::Read);
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
        let operation = ReadAtVectored { fd: -1, parts: std::ptr::null(), count: 0, offset, polled: false };
        Self::on_file(file, operation, AllRoom(Parts::of(buffers)))
    }
}
