//! [`Event`]: what comes back.
//!
//! A [`Request`] and the [`Event`] it becomes are the same boxed body, before and after. The buffers, the descriptor,
//! the application's context and the handler travel with it. [`Event::again`] posts the same box once more.

#![allow(unsafe_code)]

use crate::body::EventBody;
use crate::id::{EventId, OpId};
use crate::request::Request;
use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A connection accepted.
    Accept,
    /// A connection made.
    Connect,
    /// Bytes received.
    Recv,
    /// Bytes sent.
    Send,
    /// A datagram received, with its sender.
    RecvFrom,
    /// A datagram sent to an address.
    SendTo,
    /// A descriptor ready.
    Readiness,
    /// A point in time.
    Timer,
    /// Something that the application says to itself.
    Notification,
}

/// What to wait for on a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interest(pub(crate) i16);

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

/// A completed request: returned by `get_event`, with its data, its buffers and its error inside.
pub struct Event(pub(crate) Box<EventBody>);

impl Event {
    pub(crate) fn completed(mut body: Box<EventBody>, id: OpId) -> Self {
        body.id = EventId::new(id, body.id.channel());
        body.finish();
        Self(body)
    }

    /// The id that `post` gave, the last time if it was posted [again](Self::again).
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// What was asked for.
    pub fn kind(&self) -> EventKind {
        self.0.kind
    }

    /// The application's number.
    pub fn token(&self) -> u64 {
        self.0.token
    }

    /// The number of bytes transferred (0 for kinds that transfer none), or the operation's error: a cancelled
    /// request has `ECANCELED`, one over its time limit [`io::ErrorKind::TimedOut`].
    pub fn result(&self) -> io::Result<usize> {
        match self.0.op.result {
            n if n >= 0 => Ok(if self.kind() == EventKind::Readiness { 0 } else { n as usize }),
            e if e == -libc::ETIME => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the request's time limit came first"))
            }
            e => Err(io::Error::from_raw_os_error(-e)),
        }
    }

    /// Whether it was cancelled before it could be done.
    pub fn is_cancelled(&self) -> bool {
        self.0.op.result == -libc::ECANCELED
    }

    /// Whether its time limit came before it could be done.
    pub fn is_timed_out(&self) -> bool {
        self.0.op.result == -libc::ETIME
    }

    /// What is ready, of what was waited for; an error or hang-up counts as readable and writable.
    pub fn ready(&self) -> Interest {
        let got = if self.kind() == EventKind::Readiness { self.0.op.result.max(0) as i16 } else { 0 };
        let failed = got & (libc::POLLERR | libc::POLLHUP) != 0;
        Interest(if failed { self.0.interest.0 } else { got & self.0.interest.0 })
    }

    /// What was received, or what was to be sent.
    pub fn buffer(&self) -> &[u8] {
        &self.0.buffer
    }

    /// The buffer, filled; an empty one stays.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0.buffer)
    }

    /// Whether a datagram was longer than the buffer.
    pub fn is_truncated(&self) -> bool {
        self.0.message.msg_flags & libc::MSG_TRUNC != 0
    }

    /// The accepted connection, once. One that is not taken is closed with the event.
    pub fn take_accepted(&mut self) -> Option<OwnedFd> {
        self.0.accepted.take()
    }

    /// The peer of an accepted connection, the sender of a datagram, or where a request went to.
    pub fn address(&self) -> Option<SocketAddr> {
        if self.0.address_len == 0 {
            return None;
        }
        // SAFETY: the storage is zeroed or was filled by the kernel or from a SocketAddr, with this length.
        unsafe {
            // a copy: the storage is plain bytes, but says so only to unsafe code
            socket2::SockAddr::new(std::ptr::read(&self.0.address), self.0.address_len)
        }
        .as_socket()
    }

    /// The application's context, once.
    pub fn take_context(&mut self) -> Option<Box<dyn Any + Send>> {
        self.0.context.take()
    }

    /// The same request once more, in the same memory: buffers, descriptor, token, context and handler stay. What was sent is
    /// sent again, from the beginning; a buffer that was received into is received into again.
    ///
    /// To the channel it is a new request. [`post`](crate::EventChannel::post) gives it a new id, and the old one cancels nothing. A time
    /// limit ([`Request::within`]) and the time of a [`Request::timer`] start again with that post; the point in time of a
    /// [`Request::timer_at`] stays what it was, so that it completes at once. What was taken out of the event
    /// ([`take_buffer`](Self::take_buffer), [`take_context`](Self::take_context)) is not there any more: without its
    /// buffer a receive has no room ([`Request::recv`]), see [`again_with`](Self::again_with).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # let channel = EventChannel::new()?;
    /// let mut id = channel.post(Request::notification())?;
    /// for _ in 0..3 {
    ///     let event = channel.get_event()?;
    ///     assert_eq!(event.id(), id);
    ///     id = channel.post(event.again())?; // allocates nothing; a new id
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn again(self) -> Request {
        Request(self.0)
    }

    /// As [`again`](Self::again), with another buffer: to receive into, or to send.
    pub fn again_with(mut self, buffer: Vec<u8>) -> Request {
        self.0.buffer = buffer;
        Request(self.0)
    }

    /// For a notification to all: the same words for one more listener.
    pub(crate) fn copy(&self) -> Self {
        let mut body = EventBody::new(EventKind::Notification, None, Vec::new());
        (body.id, body.token) = (self.0.id, self.0.token);
        Self(body)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_struct("Event");
        d.field("id", &self.id())
            .field("kind", &self.kind())
            .field("result", &self.result())
            .finish_non_exhaustive()
    }
}
