//! Bytes written at a position in a file from several buffers.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::AllBytes;
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

/// pwritev(2); the result is the number of bytes.
#[derive(Clone, Copy, Debug)]
pub struct WriteAtVectored {
    /// The file: one that has positions.
    pub fd: RawFd,
    /// Where the bytes are.
    pub parts: *const libc::iovec,
    /// How many parts.
    pub count: usize,
    /// Where in the file they go.
    pub offset: u64,
    /// The file's flags: see [`WriteAt`](super::write_at::WriteAt::flags).
    pub flags: i32,
    /// It can be polled: [`Sort::can_be_polled`](crate::raw::Sort::can_be_polled) says so. The ring is not to have it then.
    pub polled: bool,
}

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for WriteAtVectored {}

// SAFETY: the parts are read.
unsafe impl Carry for WriteAtVectored {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        // (Of nothing the ring makes something else than the call does.)
        if self.flags & libc::O_APPEND != 0 || self.polled || self.count == 0 {
            return None;
        }
        let count = sys::clamp(self.count);
        Some(opcode::Writev::new(types::Fd(self.fd), self.parts, count).offset(self.offset).build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
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
unsafe impl Blocking for WriteAtVectored {
    unsafe fn at_once(&self) -> Option<i32> {
        if self.polled {
            return None;
        }
        // SAFETY: by contract.
        unsafe {
            let from = positioned::list(self.parts, self.count);
            positioned::write_all_now(self.fd, from, self.offset, self.flags)
        }
    }

    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        let (count, offset) = (sys::clamp(self.count) as i32, self.offset as libc::off64_t);
        // SAFETY: by contract.
        sort::wait_at(self.fd, caller, || unsafe { libc::pwritev64(self.fd, self.parts, count, offset) })
    }
}

impl OnFile<AllBytes> for WriteAtVectored {
    fn kind(&self) -> EventKind {
        EventKind::WriteAtVectored
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, may: &mut Position) {
        (self.fd, self.flags) = (fd, positioned::flags(fd));
        self.polled = may.check(fd, self.offset, Way::Write);
    }

    fn point(&mut self, memory: &mut AllBytes) {
        let list = memory.0.bytes();
        (self.parts, self.count) = (list.as_ptr(), list.len());
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.offset)
    }
}

impl Request {
    /// As [`write_at`](Self::write_at), from several buffers, one after the other, as pwritev(2) does. They come back as they were
    /// ([`Event::buffers`](crate::Event::buffers)).
    ///
    /// Empty ones are passed over. More than 1,024 others are refused (`EINVAL`).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{fs::File, sync::Arc};
    /// # let path = std::env::temp_dir().join(format!("ec-write-at-vectored-{}", std::process::id()));
    /// let channel = EventChannel::new()?;
    /// let file = File::create_new(&path)?;
    /// channel.post(Request::write_at_vectored(file, vec![b"head".to_vec(), b"body".to_vec()], 0))?;
    /// assert_eq!(channel.get_event()?.result()?, 8);
    /// assert_eq!(std::fs::read(&path)?, b"headbody");
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_at_vectored(file: impl Into<Source>, buffers: Vec<Vec<u8>>, offset: u64) -> Self {
        let operation =
            WriteAtVectored { fd: -1, parts: std::ptr::null(), count: 0, offset, flags: 0, polled: false };
        Self::on_file(file, operation, AllBytes(Parts::of(buffers)))
    }
}
