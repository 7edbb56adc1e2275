//! A descriptor ready.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{AtExit, Carry, Class, Line, Readiness, Verdict, is_interrupted};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;

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
    ready: i16,
    operation: Poll,
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
        self.ready = result.max(0) as i16;
        result.min(0)
    }
}

impl Request {
    /// Waits until the descriptor is ready: level semantics, once. Post it again to go on watching. What
    /// cannot be polled, a regular file say, is always ready.
    pub fn readiness(source: impl Into<Source>, interest: Interest) -> Self {
        let operation = Poll { fd: -1, events: interest.0 };
        Self::of(Held { source: source.into(), interest, ready: 0, operation })
    }
}

impl Event {
    /// What is ready, of what was waited for; an error or hang-up counts as readable and writable.
    pub fn ready(&self) -> Interest {
        let Some(&Held { interest, ready, .. }) = self.0.of_kind() else { return Interest(0) };
        let failed = ready & (libc::POLLERR | libc::POLLHUP) != 0;
        if failed { interest } else { Interest(ready & interest.0) }
    }
}
