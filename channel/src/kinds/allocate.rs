//! Room on the disk for a part of a file.

#![allow(unsafe_code)]

use super::EventKind;
use super::on_file::OnFile;
use super::positioned::{self, Position};
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, Readiness, Verdict};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;

/// fallocate(2).
#[derive(Clone, Copy, Debug)]
pub struct Allocate {
    /// The file.
    pub fd: RawFd,
    /// `FALLOC_FL_KEEP_SIZE` and the like.
    pub mode: i32,
    /// Where the part begins.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
}

// SAFETY: it touches nothing.
unsafe impl Carry for Allocate {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        // What moves the rest of the file must not be done twice.
        if self.mode & (libc::FALLOC_FL_COLLAPSE_RANGE | libc::FALLOC_FL_INSERT_RANGE) != 0 {
            return None;
        }
        let entry = opcode::Fallocate::new(types::Fd(self.fd), self.len).offset(self.offset).mode(self.mode);
        Some(entry.build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn judge(&self, result: i32) -> Verdict {
        positioned::judge(result)
    }
}

// SAFETY: as above.
unsafe impl Blocking for Allocate {
    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        let (offset, len) = (self.offset as libc::off64_t, self.len as libc::off64_t);
        // SAFETY: no pointer is passed.
        sys::blocking(|| unsafe { libc::fallocate64(self.fd, self.mode, offset, len) } as isize)
    }
}

impl OnFile<()> for Allocate {
    fn kind(&self) -> EventKind {
        EventKind::Allocate
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, _may: &mut Position) {
        self.fd = fd;
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.offset)
    }
}

/// What [`Request::allocate`] does to its part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Allocation {
    /// It has room on the disk: writes there do not fail for want of it. A file that ends before it grows, with zeroes.
    Reserve,
    /// As `Reserve`, but the file is as long as before.
    ReserveUnseen,
    /// It reads as zeroes, and its room is given back. The file is as long as before.
    PunchHole,
    /// It reads as zeroes, and has room. A file that ends before it grows.
    Zero,
    /// It is taken out, and what is behind it moves up. (Where the file system can, in whole blocks of its own.)
    Collapse,
    /// A hole of that length is put in, and what is behind moves back. (As with `Collapse`.)
    Insert,
}

impl Allocation {
    fn mode(self) -> i32 {
        match self {
            Allocation::Reserve => 0,
            Allocation::ReserveUnseen => libc::FALLOC_FL_KEEP_SIZE,
            Allocation::PunchHole => libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
            Allocation::Zero => libc::FALLOC_FL_ZERO_RANGE,
            Allocation::Collapse => libc::FALLOC_FL_COLLAPSE_RANGE,
            Allocation::Insert => libc::FALLOC_FL_INSERT_RANGE,
        }
    }
}

impl Request {
    /// Sees to a part of a file's room on the disk, as fallocate(2) does: `len` bytes from `offset` on. What the file system cannot do fails
    /// with `EOPNOTSUPP`; a length of 0, and one or an offset beyond `i64::MAX`, with `EINVAL`; a file that would be too long with `EFBIG`; a
    /// full disk with `ENOSPC`; what is no file with `ESPIPE` or `ENODEV`.
    ///
    /// ```
    /// # use ec_channel::{Allocation, EventChannel, Request};
    /// # use std::{fs::File, sync::Arc};
    /// # let path = std::env::temp_dir().join(format!("ec-allocate-{}", std::process::id()));
    /// let channel = EventChannel::new()?;
    /// let file = Arc::new(File::create_new(&path)?);
    /// channel.post(Request::allocate(file.clone(), Allocation::Reserve, 0, 1 << 16))?;
    /// if channel.get_event()?.result().is_ok() {
    ///     assert_eq!(file.metadata()?.len(), 1 << 16);
    /// } // else this file system cannot
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn allocate(file: impl Into<Source>, allocation: Allocation, offset: u64, len: u64) -> Self {
        Self::on_file(file, Allocate { fd: -1, mode: allocation.mode(), offset, len }, ())
    }
}
