//! A file's content brought to the disk.

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

/// fsync(2), or fdatasync(2).
#[derive(Clone, Copy, Debug)]
pub struct Fsync {
    /// The file, or a directory.
    pub fd: RawFd,
    /// Of what the file system knows of the file, only what is needed to read it again.
    pub data_only: bool,
}

// SAFETY: it touches nothing.
unsafe impl Carry for Fsync {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        let flags = if self.data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
        Some(opcode::Fsync::new(types::Fd(self.fd)).flags(flags).build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn judge(&self, result: i32) -> Verdict {
        positioned::judge(result)
    }
}

// SAFETY: as above.
unsafe impl Blocking for Fsync {
    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        sys::blocking(|| {
            // SAFETY: no pointer is passed.
            (unsafe { if self.data_only { libc::fdatasync(self.fd) } else { libc::fsync(self.fd) } }) as isize
        })
    }
}

impl OnFile<()> for Fsync {
    fn kind(&self) -> EventKind {
        if self.data_only { EventKind::Fdatasync } else { EventKind::Fsync }
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, _may: &mut Position) {
        self.fd = fd;
    }
}

impl Request {
    /// Waits until all that was written to a file by now is on its disk, as fsync(2) does: with all that the file system knows of the file. Of
    /// writes that are still on their way it says nothing. What cannot be synchronised (a pipe, a socket) fails with `EINVAL`.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{fs::File, sync::Arc};
    /// # let path = std::env::temp_dir().join(format!("ec-fsync-{}", std::process::id()));
    /// let channel = EventChannel::new()?;
    /// let file = Arc::new(File::create_new(&path)?);
    /// channel.post(Request::write_at(file.clone(), b"kept".to_vec(), 0))?;
    /// channel.get_event()?.result()?;
    /// channel.post(Request::fsync(file))?;
    /// channel.get_event()?.result()?;
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn fsync(file: impl Into<Source>) -> Self {
        Self::on_file(file, Fsync { fd: -1, data_only: false }, ())
    }
}
