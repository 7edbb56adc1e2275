//! Bytes read into pages, from a position in a file that is read past the page cache.

use super::EventKind;
use super::memory::Memory;
use super::on_file::{Held, OnFile};
use super::positioned::{Position, Way};
use super::read_at::ReadAt;
use super::write_at::WriteAt;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::pages::Pages;
use std::os::fd::RawFd;

/// Pages that are read into.
pub(super) struct PageRoom(pub(super) Pages);

#[allow(unsafe_code)]
impl Memory for PageRoom {
    unsafe fn finish(&mut self, result: i32) {
        self.0.resize(usize::try_from(result).unwrap_or(0).min(self.0.capacity()));
    }
}

impl OnFile<PageRoom> for ReadAt {
    fn kind(&self) -> EventKind {
        EventKind::ReadDirect
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, may: &mut Position) {
        self.fd = fd;
        self.polled = may.check(fd, self.offset, Way::Read);
    }

    fn point(&mut self, memory: &mut PageRoom) {
        (self.buf, self.len) = (memory.0.room(), memory.0.capacity());
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.offset)
    }
}

impl Request {
    /// As [`read_at`](Self::read_at), into [`Pages`]: for files that were opened with `O_DIRECT`, which want their buffers aligned. (Any file
    /// can be read so.) The offset has to be a multiple of the file's block size (512 bytes as a rule), else the result is `EINVAL`.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Pages, Request};
    /// # use std::{fs::File, os::unix::fs::OpenOptionsExt};
    /// let channel = EventChannel::new()?;
    /// // (Some file systems know no O_DIRECT.)
    /// let direct = File::options().read(true).custom_flags(libc::O_DIRECT).open("Cargo.toml");
    /// let file = direct.or_else(|_| File::open("Cargo.toml"))?;
    /// channel.post(Request::read_direct(file, Pages::with_capacity(4096), 0))?;
    /// let mut event = channel.get_event()?;
    /// let pages = event.take_pages().unwrap();
    /// assert!(pages.starts_with(b"[package]"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_direct(file: impl Into<Source>, pages: Pages, offset: u64) -> Self {
        let operation = ReadAt { fd: -1, buf: std::ptr::null_mut(), len: 0, offset, polled: false };
        Self::on_file(file, operation, PageRoom(pages))
    }
}

type Reads = Held<ReadAt, PageRoom>;
type Writes = Held<WriteAt, Pages>;

impl Event {
    /// The pages of a [`Request::read_direct`] or [`Request::write_direct`], once. (Posted [again](Self::again) without them it has no room, or
    /// nothing to write.) `None`: the event is of another kind.
    pub fn take_pages(&mut self) -> Option<Pages> {
        let body = self.0.body_mut()?;
        if let Some(reads) = body.of_mut::<Reads>() {
            return Some(std::mem::take(&mut reads.memory.0));
        }
        Some(std::mem::take(&mut body.of_mut::<Writes>()?.memory))
    }

    /// What was read into pages, or written from them. Empty where the kind has none.
    pub fn pages(&self) -> &[u8] {
        let Some(body) = self.0.body() else { return &[] };
        let (reads, writes) = (body.of::<Reads>(), body.of::<Writes>());
        reads.map(|held| &held.memory.0).or(writes.map(|held| &held.memory)).map_or(&[], |pages| pages)
    }
}
