//! Bytes read into pages, from a position in a file that is read past the page cache.

use super::EventKind;
use super::positioned::Position;
use super::read_at::ReadAt;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::Carry;
use crate::pages::Pages;

struct Held {
    file: Source,
    pages: Pages,
    operation: ReadAt,
    position: Position,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::ReadDirect as u8
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
    }

    fn point(&mut self) -> *const dyn Carry {
        (self.operation.buf, self.operation.len) = (self.pages.room(), self.pages.capacity());
        self.position.or_refused(&raw const self.operation)
    }

    fn finish(&mut self, result: i32) -> i32 {
        self.pages.resize(usize::try_from(result).unwrap_or(0).min(self.pages.capacity()));
        result
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.operation.offset)
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
        let operation = ReadAt { fd: -1, buf: std::ptr::null_mut(), len: 0, offset };
        Self::of(Held { file: file.into(), pages, operation, position: Position::default() })
    }
}

impl Event {
    /// The pages of a [`Request::read_direct`] or [`Request::write_direct`], once. (Posted [again](Self::again) without them it has no room.)
    /// `None`: the event is of another kind.
    pub fn take_pages(&mut self) -> Option<Pages> {
        let held = self.0.body_mut()?.of_mut::<Held>()?;
        Some(std::mem::take(&mut held.pages))
    }

    /// What was read into pages, or written from them. Empty where the kind has none.
    pub fn pages(&self) -> &[u8] {
        self.0.body().and_then(|body| body.of::<Held>()).map_or(&[], |held| &held.pages)
    }
}
