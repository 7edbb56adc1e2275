//! Bytes written from pages, at a position in a file that is written past the page cache.

use super::EventKind;
use super::memory::Memory;
use super::on_file::OnFile;
use super::positioned::{self, Position, Way};
use super::write_at::WriteAt;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::pages::Pages;
use std::os::fd::RawFd;

/// Pages that are written from.
impl Memory for Pages {}

impl OnFile<Pages> for WriteAt {
    fn kind(&self) -> EventKind {
        EventKind::WriteDirect
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, may: &mut Position) {
        (self.fd, self.flags) = (fd, positioned::flags(fd));
        self.polled = may.check(fd, self.offset, Way::Write);
    }

    fn point(&mut self, pages: &mut Pages) {
        (self.buf, self.len) = (pages.as_ptr(), pages.len());
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.offset)
    }
}

impl Request {
    /// As [`write_at`](Self::write_at), from [`Pages`]: for files that were opened with `O_DIRECT`, which want their buffers aligned. (Any file
    /// can be written so.) For these the offset and the length have to be multiples of the file's block size (512 bytes as a rule), else
    /// the result is `EINVAL`. The pages come back with the event ([`Event::take_pages`](crate::Event::take_pages)).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Pages, Request};
    /// # use std::{fs::File, os::unix::fs::OpenOptionsExt};
    /// # let path = std::env::temp_dir().join(format!("ec-write-direct-{}", std::process::id()));
    /// let channel = EventChannel::new()?;
    /// // (Some file systems know no O_DIRECT.)
    /// let direct = File::options().write(true).create(true).custom_flags(libc::O_DIRECT).open(&path);
    /// let file = direct.or_else(|_| File::create(&path))?;
    /// let mut pages = Pages::with_capacity(4096);
    /// pages.resize(4096);
    /// pages.fill(b'x');
    /// channel.post(Request::write_direct(file, pages, 0))?;
    /// assert_eq!(channel.get_event()?.result()?, 4096);
    /// assert_eq!(std::fs::read(&path)?, [b'x'; 4096]);
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_direct(file: impl Into<Source>, pages: Pages, offset: u64) -> Self {
        let operation = WriteAt { fd: -1, buf: std::ptr::null(), len: 0, offset, flags: 0, polled: false };
        Self::on_file(file, operation, pages)
    }
}
