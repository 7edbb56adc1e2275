//! A descriptor closed.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::operation::{Blocking, Caller, Carry, Readiness};
use crate::sys;
use io_uring::squeue;
use std::cell::Cell;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

/// close(2), at most once: its number may be another file's by the next time.
pub struct Close(Cell<Option<OwnedFd>>);

impl Close {
    /// Of this descriptor. (If it is not begun the descriptor is closed when this is dropped.)
    pub fn new(fd: OwnedFd) -> Self {
        Close(Cell::new(Some(fd)))
    }
}

// SAFETY: it touches nothing but its descriptor.
unsafe impl Carry for Close {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        None
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }
}

// SAFETY: as above.
unsafe impl Blocking for Close {
    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        let Some(fd) = self.0.take() else { return -libc::EBADF };
        // (Also after EINTR it is closed: that is how Linux does it.)
        // SAFETY: it was this one's alone.
        match unsafe { libc::close(fd.into_raw_fd()) } {
            0 => 0,
            _ => -sys::errno(),
        }
    }
}

struct Held(Close);

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Close as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("descriptor")
    }

    fn descriptor(&self) -> RawFd {
        let fd = self.0.0.take();
        let number = fd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        self.0.0.set(fd);
        number
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.0
    }
}

impl Request {
    /// Closes a descriptor on a helper thread ([`work`](Self::work)), since that may take long: a file on a server is written back, a deleted
    /// one's room is given back, a socket may linger. The result is close(2)'s. An error (`EIO`, `EDQUOT`, `ENOSPC`) says that something
    /// written before is lost. The descriptor is closed all the same, and never again: nor is it after `EINTR`.
    ///
    /// One that is cancelled before it has begun is not closed: its event still has the descriptor. That is closed with the event, or by
    /// posting it [again](crate::Event::again). After it has been closed a post gives `EBADF`.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// let (reader, writer) = std::io::pipe()?;
    /// channel.post(Request::close(writer))?;
    /// channel.get_event()?.result()?;
    /// assert_eq!(std::io::read_to_string(reader)?, "");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close(fd: impl Into<OwnedFd>) -> Self {
        Self::of(Held(Close::new(fd.into())))
    }
}
