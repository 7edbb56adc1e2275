//! The kernel told how a file will be used.

#![allow(unsafe_code)]

use super::EventKind;
use super::on_file::OnFile;
use super::positioned::{self, Position};
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, Readiness, Verdict};
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;

/// posix_fadvise(2).
#[derive(Clone, Copy, Debug)]
pub struct Advise {
    /// The file.
    pub fd: RawFd,
    /// Where the part begins.
    pub offset: u64,
    /// How long it is, in bytes; 0: up to the file's end.
    pub len: u64,
    /// `POSIX_FADV_WILLNEED` and the like.
    pub advice: i32,
}

// SAFETY: it touches nothing.
unsafe impl Carry for Advise {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        // (The ring's lengths are short.)
        let len = u32::try_from(self.len).ok()?;
        let entry = opcode::Fadvise::new(types::Fd(self.fd), len.into(), self.advice);
        Some(entry.offset(self.offset).build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn judge(&self, result: i32) -> Verdict {
        positioned::judge(result)
    }
}

// SAFETY: as above.
unsafe impl Blocking for Advise {
    /// What only sets a mark.
    unsafe fn at_once(&self) -> Option<i32> {
        let marks = [libc::POSIX_FADV_NORMAL, libc::POSIX_FADV_RANDOM, libc::POSIX_FADV_SEQUENTIAL];
        marks.contains(&self.advice).then(|| self.advise())
    }

    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        self.advise()
    }
}

impl Advise {
    fn advise(&self) -> i32 {
        let (offset, len) = (self.offset as libc::off64_t, self.len as libc::off64_t);
        // SAFETY: no pointer is passed. (It gives the errno.)
        -unsafe { libc::posix_fadvise64(self.fd, offset, len, self.advice) }
    }
}

impl OnFile<()> for Advise {
    fn kind(&self) -> EventKind {
        EventKind::Advise
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

/// How a part of a file will be used: see [`Request::advise`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// As any file. (What was said of it before is forgotten.)
    Normal,
    /// Here and there: nothing is read ahead.
    Random,
    /// From the beginning to the end: more is read ahead.
    Sequential,
    /// Soon: it is read into the page cache, in the background.
    WillNeed,
    /// Not soon: what of it is on the disk leaves the page cache.
    DontNeed,
    /// Once.
    NoReuse,
}

impl Advice {
    fn number(self) -> i32 {
        match self {
            Advice::Normal => libc::POSIX_FADV_NORMAL,
            Advice::Random => libc::POSIX_FADV_RANDOM,
            Advice::Sequential => libc::POSIX_FADV_SEQUENTIAL,
            Advice::WillNeed => libc::POSIX_FADV_WILLNEED,
            Advice::DontNeed => libc::POSIX_FADV_DONTNEED,
            Advice::NoReuse => libc::POSIX_FADV_NOREUSE,
        }
    }
}

impl Request {
    /// Tells the kernel how `len` bytes of a file from `offset` on will be used, as posix_fadvise(2) does; a length of 0 is all up to the
    /// file's end. It changes what is read ahead and kept in memory, and nothing else. A pipe fails with `ESPIPE`, a length beyond
    /// `i64::MAX` with `EINVAL`.
    ///
    /// ```
    /// # use ec_channel::{Advice, EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// channel.post(Request::advise(file, 0, 0, Advice::WillNeed))?;
    /// channel.get_event()?.result()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn advise(file: impl Into<Source>, offset: u64, len: u64, advice: Advice) -> Self {
        Self::on_file(file, Advise { fd: -1, offset, len, advice: advice.number() }, ())
    }
}
