//! A descriptor ready.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::events::stream::{Flow, GivenBack, Item, Origin};
use crate::operation::{AtExit, Carry, Class, Line, Readiness, Verdict, is_interrupted};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;
use std::time::Instant;

/// poll(2) for one descriptor; the result is `revents`.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    /// Anything that can be polled. What cannot (a regular file) is always ready.
    pub fd: RawFd,
    /// `POLLIN` and the like.
    pub events: i16,
}

static POLL: Class = Class::new();

// SAFETY: it touches nothing.
unsafe impl Carry for Poll {
    fn waits_for(&self) -> Option<Readiness> {
        let line = Line::new(&POLL, i32::from(self.events));
        Some(Readiness { fd: self.fd, interest: self.events, line })
    }

    fn entry(&self) -> squeue::Entry {
        opcode::PollAdd::new(types::Fd(self.fd), u32::from(self.events as u16)).build()
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        sys::told(revents, self.events)
    }

    unsafe fn first_attempt(&self, resting: bool) -> Option<i32> {
        // SAFETY: it touches nothing.
        if resting { unsafe { self.last_attempt() } } else { None }
    }

    unsafe fn attempt_unasked(&self) -> Option<i32> {
        // SAFETY: it touches nothing.
        unsafe { self.last_attempt() }
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        // SAFETY: it touches nothing.
        unsafe { self.attempt(sys::ready_now(self.fd, self.events).unwrap_or(0) & !libc::POLLNVAL) }
    }

    fn judge(&self, result: i32) -> Verdict {
        if is_interrupted(-result) { Verdict::Again } else { Verdict::Final }
    }

    fn judge_success(&self, result: i32) -> Verdict {
        // io_uring reports that the peer has shut down to whoever polls for anything.
        if sys::told(result as i16, self.events).is_none() { Verdict::Rest } else { Verdict::Final }
    }

    fn at_exit(&self) -> AtExit {
        AtExit::IfKept(self.fd)
    }
}

/// What to wait for on a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interest(i16);

impl Interest {
    /// There is something to read, a connection to accept, or the end of the stream.
    pub const READABLE: Interest = Interest(libc::POLLIN);
    /// Writing would not block.
    pub const WRITABLE: Interest = Interest(libc::POLLOUT);
    /// Urgent data.
    pub const PRIORITY: Interest = Interest(libc::POLLPRI);
}

impl std::ops::BitOr for Interest {
    type Output = Interest;
    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

struct Held {
    source: Source,
    interest: Interest,
    /// What was found.
    ready: Ready,
    operation: Poll,
}

impl Held {
    fn new(source: impl Into<Source>, interest: Interest) -> Self {
        let operation = Poll { fd: -1, events: interest.0 };
        Held { source: source.into(), interest, ready: Ready(Interest(0)), operation }
    }
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Readiness as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("descriptor")
    }

    fn prepare(&mut self) {
        self.operation = Poll { fd: self.source.raw(), events: self.interest.0 };
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        self.ready = Ready::new(result.max(0), self.interest);
        result.min(0)
    }
}

/// The same, time and again.
struct Stream {
    flow: Flow,
    held: Held,
}

impl Kept for Stream {
    fn kind(&self) -> u8 {
        self.held.kind()
    }

    fn role(&self) -> Option<&'static str> {
        self.held.role()
    }

    fn prepare(&mut self) {
        self.held.prepare();
    }

    fn flow(&mut self) -> Option<&mut Flow> {
        Some(&mut self.flow)
    }

    fn point(&mut self) -> *const dyn Carry {
        self.held.point()
    }

    fn item(&mut self, result: i32, _now: Instant, origin: &Origin<'_>) -> Result<Inside, i32> {
        Ok(origin.item(self.kind(), &self.flow, Ready::new(result, self.held.interest)))
    }
}

/// What is ready, of what was waited for.
struct Ready(Interest);

impl Ready {
    fn new(revents: i32, interest: Interest) -> Self {
        let failed = revents as i16 & (libc::POLLERR | libc::POLLHUP) != 0;
        Ready(if failed { interest } else { Interest(revents as i16 & interest.0) })
    }
}

impl Request {
    /// Waits until the descriptor is ready: level semantics, once. Post it again to go on watching, or see
    /// [`readiness_stream`](Self::readiness_stream). What cannot be polled, a regular file say, is always ready.
    pub fn readiness(source: impl Into<Source>, interest: Interest) -> Self {
        Self::of(Held::new(source, interest))
    }

    /// A stream: the descriptor is watched until that is cancelled, its time limit comes, or it fails. Level semantics: an item says what is
    /// ready; when it has been dropped (that of a handler: when the handler has returned) the descriptor is looked at again, and another
    /// one comes if something is ready still, or as soon as it is. So whoever takes what is there, and then lets go of the item, hears of
    /// each readiness once. What cannot be polled is always ready.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Interest, Request};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, sync::Arc};
    /// let channel = EventChannel::new()?;
    /// let (near, mut far) = UnixStream::pair()?;
    /// let near = Arc::new(near);
    /// channel.post(Request::readiness_stream(near.clone(), Interest::READABLE))?;
    /// for word in [b"one", b"two"] {
    ///     far.write_all(word)?;
    ///     let item = channel.get_event()?;
    ///     assert!(item.ready() == Interest::READABLE && !item.is_last());
    ///     let mut there = [0; 3];
    ///     (&*near).read_exact(&mut there)?;
    ///     assert_eq!(&there, word);
    /// } // the item goes here
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn readiness_stream(source: impl Into<Source>, interest: Interest) -> Self {
        Self::of(Stream { flow: Flow::new(GivenBack::Dropped), held: Held::new(source, interest) })
    }
}

impl Event {
    /// What is ready, of what was waited for; an error or hang-up counts as readable and writable.
    pub fn ready(&self) -> Interest {
        let once = self.0.of_kind::<Held>().map(|held| held.ready.0);
        once.or_else(|| Some(self.0.of_kind::<Item<Ready>>()?.found.0)).unwrap_or(Interest(0))
    }
}
