//! A descriptor ready.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::events::stream::{Flow, Found, GivenBack, Item, Origin};
use crate::operation::{AtExit, Carry, Class, Line, Readiness, Verdict, is_interrupted};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::fmt;
use std::os::fd::RawFd;
use std::time::Instant;

/// poll(2) for one descriptor; the result is `revents`.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    /// Anything that can be polled. What cannot (a regular file) is always ready to be read and written.
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

    fn entry(&self) -> Option<squeue::Entry> {
        Some(opcode::PollAdd::new(types::Fd(self.fd), u32::from(self.events as u16)).build())
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        sys::told(revents, self.events)
    }

    unsafe fn first_attempt(&self, resting: bool) -> Option<i32> {
        if resting { sys::told_now(self.fd, self.events) } else { None }
    }

    unsafe fn attempt_unasked(&self) -> Option<i32> {
        sys::told_now(self.fd, self.events)
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        sys::told_now(self.fd, self.events).filter(|result| *result >= 0)
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
///
/// ```
/// # use ec_channel::Interest;
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.contains(Interest::WRITABLE) && !both.contains(both | Interest::PRIORITY));
/// assert_eq!(both & (Interest::WRITABLE | Interest::PRIORITY), Interest::WRITABLE);
/// assert_eq!(format!("{both:?}"), "READABLE | WRITABLE");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(i16);

impl Interest {
    /// There is something to read, a connection to accept, or the end of the stream.
    pub const READABLE: Interest = Interest(libc::POLLIN);
    /// Writing would not block.
    pub const WRITABLE: Interest = Interest(libc::POLLOUT);
    /// Urgent data.
    pub const PRIORITY: Interest = Interest(libc::POLLPRI);

    /// Whether all of `other` is in it.
    pub fn contains(self, other: Interest) -> bool {
        self & other == other
    }
}

impl std::ops::BitOr for Interest {
    type Output = Interest;
    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl std::ops::BitAnd for Interest {
    type Output = Interest;
    fn bitand(self, other: Interest) -> Interest {
        Interest(self.0 & other.0)
    }
}

/// Its names, with `|` between them; nothing at all is `NOTHING`.
impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [(Self::READABLE, "READABLE"), (Self::WRITABLE, "WRITABLE"), (Self::PRIORITY, "PRIORITY")];
        show_names(f, all.into_iter().filter(|(one, _)| self.contains(*one)).map(|(_, name)| name))
    }
}

pub(super) fn show_names(
    f: &mut fmt::Formatter<'_>,
    mut names: impl Iterator<Item = &'static str>,
) -> fmt::Result {
    f.write_str(names.next().unwrap_or("NOTHING"))?;
    names.try_for_each(|name| write!(f, " | {name}"))
}

struct Held {
    source: Source,
    interest: Interest,
    /// It cannot be polled, and is neither to be read nor to be written.
    is_always: bool,
    /// What was found.
    ready: Ready,
    operation: Poll,
}

impl Held {
    fn new(source: impl Into<Source>, interest: Interest) -> Self {
        let operation = Poll { fd: -1, events: interest.0 };
        Held { source: source.into(), interest, is_always: false, ready: Ready(Interest(0)), operation }
    }

    /// What is ready by this result.
    fn found(&self, revents: i32) -> Ready {
        if self.is_always { Ready(self.interest) } else { Ready::new(revents, self.interest) }
    }
}

/// Can it not be polled, so that the kernel calls it readable and writable at any time? (If a filter is in the way, it seems as if it could.)
pub(super) fn cannot_be_polled(fd: RawFd) -> bool {
    // The kernel says so before it sees that this is no epoll instance, or one that would watch itself. So the file itself is not asked,
    // which might take as long as a server wishes.
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: a live event.
    let asked = unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_DEL, fd, &mut event) };
    asked < 0 && sys::errno() == libc::EPERM
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Readiness as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("descriptor")
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.source)
    }

    fn descriptor(&self) -> RawFd {
        self.operation.fd
    }

    fn prepare(&mut self) {
        let fd = self.source.raw();
        // Drivers differ in what they make of one that never says what it is asked for.
        let says_nothing = (self.interest & (Interest::READABLE | Interest::WRITABLE)).0 == 0;
        self.is_always = says_nothing && cannot_be_polled(fd);
        let asked = if self.is_always { Interest::READABLE } else { self.interest };
        self.operation = Poll { fd, events: asked.0 };
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        self.ready = self.found(result.max(0));
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

    fn source(&self) -> Option<&Source> {
        self.held.source()
    }

    fn descriptor(&self) -> RawFd {
        self.held.descriptor()
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
        Ok(origin.item(self.kind(), &self.flow, self.held.found(result)))
    }
}

/// What is ready, of what was waited for.
struct Ready(Interest);

impl Found for Ready {}

impl Ready {
    fn new(revents: i32, interest: Interest) -> Self {
        let failed = revents as i16 & (libc::POLLERR | libc::POLLHUP) != 0;
        Ready(if failed { interest } else { Interest(revents as i16 & interest.0) })
    }
}

impl Request {
    /// Waits until the descriptor is ready: level semantics, once. Post it again to go on watching, or see
    /// [`readiness_stream`](Self::readiness_stream). What cannot be polled (a regular file, a directory, `/dev/null`) is always ready,
    /// for whatever is waited for. To see that of one that is waited for neither to be read nor to be written, a post takes a descriptor for
    /// a moment; if there is none, it depends on the driver: it fails, or is never ready.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Interest, Request};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, sync::Arc};
    /// let channel = EventChannel::new()?;
    /// let (near, mut far) = UnixStream::pair()?;
    /// let near = Arc::new(near); // for the request, and for the library that reads
    /// channel.post(Request::readiness(near.clone(), Interest::READABLE))?;
    /// far.write_all(b"x")?;
    /// let event = channel.get_event()?;
    /// event.result()?;
    /// assert!(event.ready().contains(Interest::READABLE));
    /// assert_eq!((&*near).read(&mut [0; 8])?, 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
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
