//! A file's length set.

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

/// ftruncate(2).
#[derive(Clone, Copy, Debug)]
pub struct Truncate {
    /// The file, open for writing.
    pub fd: RawFd,
    /// How long it is to be, in bytes.
    pub len: u64,
}

// SAFETY: it touches nothing.
unsafe impl Carry for Truncate {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        Some(opcode::Ftruncate::new(types::Fd(self.fd), self.len).build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn judge(&self, result: i32) -> Verdict {
        match -result {
            // Before Linux 6.9 the ring does not know of it. (Else the call says so again.)
            libc::EINVAL => Verdict::Help,
            _ => positioned::judge(result),
        }
    }
}

// SAFETY: as above.
unsafe impl Blocking for Truncate {
    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        // SAFETY: no pointer is passed.
        sys::blocking(|| unsafe { libc::ftruncate64(self.fd, self.len as libc::off64_t) } as isize)
    }
}

impl OnFile<()> for Truncate {
    fn kind(&self) -> EventKind {
        EventKind::Truncate
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, _may: &mut Position) {
        self.fd = fd;
    }
}

impl Request {
    /// Makes a file `len` bytes long, as ftruncate(2) does: what is behind that is gone, and a shorter file grows, with zeroes that take no
    /// room. Its cursor stays where it is. What is not open for writing, and no file, fails with `EINVAL`, and so does a length beyond
    /// `i64::MAX`; a length that the file system cannot have with `EFBIG`. (One beyond the process's limit of sizes, too; the kernel
    /// signals that by `SIGXFSZ`, as with [`write_at`](Self::write_at).)
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{fs::File, sync::Arc};
    /// # let path = std::env::temp_dir().join(format!("ec-truncate-{}", std::process::id()));
    /// let channel = EventChannel::new()?;
    /// let file = Arc::new(File::create_new(&path)?);
    /// channel.post(Request::truncate(file.clone(), 1000))?;
    /// channel.get_event()?.result()?;
    /// assert_eq!(file.metadata()?.len(), 1000);
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn truncate(file: impl Into<Source>, len: u64) -> Self {
        Self::on_file(file, Truncate { fd: -1, len }, ())
    }
}
