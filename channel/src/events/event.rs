//! [`Event`]: what comes back.
//!
//! A [`Request`] and the [`Event`] it becomes are the same boxed body, before and after. The buffers, the descriptor,
//! the application's context and the handler travel with it. [`Event::again`] posts the same box once more.
//!
//! What only some kinds have ([`Event::take_accepted`], say) stands in the files of those.

use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::id::EventId;
use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A completed request: returned by `get_event`, with its data, its buffers and its error inside.
pub struct Event(pub(crate) Inside);

/// A result as the program is told it.
pub(crate) fn told(result: i32) -> io::Result<usize> {
    match result {
        n if n >= 0 => Ok(n as usize),
        e if e == -libc::ETIME => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the request's time limit came first"))
        }
        e => Err(io::Error::from_raw_os_error(e.wrapping_neg())),
    }
}

impl Event {
    /// The id that `post` gave, the last time if it was posted [again](Self::again).
    pub fn id(&self) -> EventId {
        self.0.id()
    }

    /// Whether nothing more comes of its request. False for the items of a stream ([`Request::interval`], say), which have the id and
    /// the token of the stream; then one event comes that is the last, with the reason: an error of the operation, `ECANCELED`, or its
    /// time limit.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::time::Duration;
    /// let channel = EventChannel::new()?;
    /// let id = channel.post(Request::interval(Duration::from_millis(1)))?;
    /// assert!(!channel.get_event()?.is_last());
    /// channel.cancel(id);
    /// while let event = channel.get_event()? {
    ///     if event.is_last() {
    ///         assert!(event.is_cancelled());
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_last(&self) -> bool {
        !self.0.is_item()
    }

    /// The application's number.
    pub fn token(&self) -> u64 {
        self.0.token()
    }

    /// The number of bytes transferred (0 for kinds that transfer none), or the operation's error: a cancelled
    /// request has `ECANCELED`, one over its time limit [`io::ErrorKind::TimedOut`].
    pub fn result(&self) -> io::Result<usize> {
        told(self.0.result())
    }

    /// Whether it was cancelled before it could be done.
    pub fn is_cancelled(&self) -> bool {
        self.0.result() == -libc::ECANCELED
    }

    /// Whether its time limit came before it could be done.
    pub fn is_timed_out(&self) -> bool {
        self.0.result() == -libc::ETIME
    }

    /// What was received, or what was to be sent. Empty where the kind has no buffer.
    pub fn buffer(&self) -> &[u8] {
        self.0.body().and_then(|body| body.own.buffer()).map_or(&[], Vec::as_slice)
    }

    /// The buffer, filled; an empty one stays.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        self.0.take_buffer()
    }

    /// The buffers of a request with several: what was received, or was to be sent. None where the kind has not.
    pub fn buffers(&self) -> &[Vec<u8>] {
        self.0.body().and_then(|body| body.own.buffers()).map_or(&[], Vec::as_slice)
    }

    /// The buffers of a request with several; none stay.
    pub fn take_buffers(&mut self) -> Vec<Vec<u8>> {
        self.0.take_buffers()
    }

    /// Whether a datagram was longer than the buffer, or all the buffers: what was beyond is lost. Said by
    /// [`recv_from`](crate::Request::recv_from), [`recv_msg`](crate::Request::recv_msg), [`recv_vectored`](crate::Request::recv_vectored) and
    /// [`recv_pooled`](crate::Request::recv_pooled). [`recv`](crate::Request::recv) and [`read`](crate::Request::read) never say it, as the
    /// calls of their names do not.
    pub fn is_truncated(&self) -> bool {
        self.0.body().is_some_and(|body| body.own.message_flags() & libc::MSG_TRUNC != 0)
    }

    /// The peer of an accepted connection, the sender of a datagram, or where a request went to.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.body()?.own.address()
    }

    /// What it was on, to go on with it; of two descriptors the one that was read from. None where the kind has none (a descriptor that was
    /// [closed](crate::Request::close) is no more), and for items of a stream.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream};
    /// let channel = EventChannel::new()?;
    /// let (near, mut far) = UnixStream::pair()?;
    /// channel.post(Request::recv(near, Vec::with_capacity(16)))?; // the request has it now
    /// far.write_all(b"echo")?;
    /// let mut received = channel.get_event()?;
    /// let socket = received.source().unwrap().clone();
    /// channel.post(Request::send(socket, received.take_buffer()))?;
    /// assert_eq!(channel.get_event()?.result()?, 4);
    /// let mut answer = [0; 4];
    /// far.read_exact(&mut answer)?;
    /// assert_eq!(&answer, b"echo");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn source(&self) -> Option<&Source> {
        self.0.body()?.own.source()
    }

    /// The application's context, once. That of a stream comes with its last event.
    pub fn take_context(&mut self) -> Option<Box<dyn Any + Send>> {
        self.0.take_context()
    }

    /// The same request once more, in the same memory: buffers, descriptor, token, context and handler stay. What was sent is
    /// sent again, from the beginning; a buffer that was received into is received into again.
    ///
    /// To the channel it is a new request. [`post`](crate::EventChannel::post) gives it a new id, and the old one cancels nothing. A time
    /// limit ([`Request::within`]) and the time of a [`Request::timer`] start again with that post; the point in time of a
    /// [`Request::timer_at`] stays what it was, so that it completes at once. What was taken out of the event
    /// ([`take_buffer`](Self::take_buffer), [`take_context`](Self::take_context)) is not there any more: without its
    /// buffer a receive has no room ([`Request::recv`]), see [`again_with`](Self::again_with). An item of a stream is no request, and is
    /// refused by `post`; the [last](Self::is_last) event begins the stream anew.
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

    /// As [`again`](Self::again), with another buffer: to receive into, or to send. (A kind that has none takes no notice of it.)
    pub fn again_with(mut self, buffer: Vec<u8>) -> Request {
        if let Some(old) = self.0.body_mut().and_then(|body| body.own.buffer_mut()) {
            *old = buffer;
        }
        Request(self.0)
    }

    /// As [`again_with`](Self::again_with), for a request with several buffers.
    pub fn again_with_buffers(mut self, buffers: Vec<Vec<u8>>) -> Request {
        if let Some(old) = self.0.body_mut().and_then(|body| body.own.buffers_mut()) {
            *old = buffers;
        }
        Request(self.0)
    }
}

/// As of its request, with its id and result.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_struct("Event");
        d.field("id", &self.id()).field("kind", &self.kind());
        self.0
            .show(&mut d)
            .field("is_last", &self.is_last())
            .field("result", &self.result())
            .finish_non_exhaustive()
    }
}
