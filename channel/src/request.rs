//! [`Request`]: what is posted.

#![allow(unsafe_code)]

use crate::body::{EventBody, When};
use crate::event::{Event, EventKind, Interest};
use crate::raw::RawOp;
use crate::source::Source;
use crate::{EventChannel, EventId};
use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request event, to be handed to [`EventChannel::post`].
///
/// ```
/// use ec_channel::{EventChannel, Request};
/// use std::time::Duration;
/// let channel = EventChannel::new()?;
/// channel.post(Request::timer(Duration::from_millis(1)).token(7))?;
/// assert_eq!(channel.get_event()?.token(), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a request does nothing until it is posted"]
pub struct Request(pub(crate) Box<EventBody>);

impl Request {
    /// A connection from a listening socket; see [`Event::take_accepted`].
    pub fn accept(listener: impl Into<Source>) -> Self {
        Self(EventBody::new(EventKind::Accept, Some(listener.into()), Vec::new()))
    }

    /// Connects a socket. After a failure the socket is of no further use.
    pub fn connect(socket: impl Into<Source>, to: SocketAddr) -> Self {
        let mut body = EventBody::new(EventKind::Connect, Some(socket.into()), Vec::new());
        body.set_address(to);
        Self(body)
    }

    /// Receives at most `buffer.capacity()` bytes; what the buffer held is replaced. The result is the number of bytes, 0 at the end
    /// of the stream.
    ///
    /// A buffer of no capacity (`Vec::new()`) receives nothing: the result is `Ok(0)`, which cannot be told from the end of the stream.
    /// When it comes is up to the kernel: with TCP as soon as there is something to receive, and what is there stays.
    pub fn recv(socket: impl Into<Source>, buffer: Vec<u8>) -> Self {
        Self(EventBody::new(EventKind::Recv, Some(socket.into()), buffer))
    }

    /// Sends from the buffer. As send(2) it may send fewer bytes than there are; the event says how many.
    pub fn send(socket: impl Into<Source>, buffer: Vec<u8>) -> Self {
        Self(EventBody::new(EventKind::Send, Some(socket.into()), buffer))
    }

    /// Receives a datagram of at most `buffer.capacity()` bytes; see [`Event::address`]. The rest of a longer one is lost
    /// ([`Event::is_truncated`]), and with a buffer of no capacity all of it.
    pub fn recv_from(socket: impl Into<Source>, buffer: Vec<u8>) -> Self {
        Self(EventBody::new(EventKind::RecvFrom, Some(socket.into()), buffer))
    }

    /// Sends the buffer as a datagram.
    pub fn send_to(socket: impl Into<Source>, buffer: Vec<u8>, to: SocketAddr) -> Self {
        let mut body = EventBody::new(EventKind::SendTo, Some(socket.into()), buffer);
        body.set_address(to);
        Self(body)
    }

    /// Waits until the descriptor is ready: level semantics, once. Post it again to go on watching. What
    /// cannot be polled, a regular file say, is always ready.
    pub fn readiness(source: impl Into<Source>, interest: Interest) -> Self {
        let mut body = EventBody::new(EventKind::Readiness, Some(source.into()), Vec::new());
        body.interest = interest;
        Self(body)
    }

    /// Completes `after` it was posted: never earlier, and as a rule less than 0.1 ms later.
    pub fn timer(after: Duration) -> Self {
        let mut body = EventBody::new(EventKind::Timer, None, Vec::new());
        body.when = When::After(after);
        Self(body)
    }

    /// Completes at a point in time; at once if that has passed.
    pub fn timer_at(at: Instant) -> Self {
        let mut body = EventBody::new(EventKind::Timer, None, Vec::new());
        body.when = When::At(at);
        Self(body)
    }

    /// Complete as it is posted: one thread that waits in `get_event` (now or later) gets it.
    pub fn notification() -> Self {
        Self(EventBody::new(EventKind::Notification, None, Vec::new()))
    }

    /// For a notification without handler: everyone who waits when it is posted gets a copy (with the same id and
    /// token, without the context); if nobody does, the next one gets it.
    pub fn wake_all(mut self) -> Self {
        self.0.wake_all = true;
        self
    }

    /// A number of the application's own, which comes back with the event.
    pub fn token(mut self, token: u64) -> Self {
        self.0.token = token;
        self
    }

    /// Anything of the application's own, which comes back with the event.
    pub fn context(mut self, context: Box<dyn Any + Send>) -> Self {
        self.0.context = Some(context);
        self
    }

    /// Gives the request up after this time from its posting ([`Event::is_timed_out`]). The time starts anew with each posting
    /// ([`Event::again`]). For a timer it replaces the time; a notification takes no notice of it.
    pub fn within(mut self, limit: Duration) -> Self {
        self.0.when = When::After(limit);
        self
    }

    /// Instead of being returned from `get_event`, the event is given to `handler`: by the pool
    /// that serves the channel, else by a thread that is in `get_event`. The handler should not block. A panic in it
    /// is caught and logged; the event is gone then.
    ///
    /// The handler stays with the event, so posting [`Event::again`] from within goes on with it.
    pub fn on_complete(mut self, handler: impl Fn(&EventChannel, Event) + Send + Sync + 'static) -> Self {
        self.0.handler = Some(Arc::new(handler));
        self
    }

    /// What the request asks for.
    pub fn kind(&self) -> EventKind {
        self.0.kind
    }

    /// Takes a buffer back out of a request that was not posted.
    pub fn into_buffer(self) -> Vec<u8> {
        self.0.buffer
    }

    pub(crate) fn is_immediate(&self) -> bool {
        self.0.kind == EventKind::Notification && !self.0.has_handler()
    }

    pub(crate) fn wakes_all(&self) -> bool {
        self.0.wake_all
    }

    /// The event that an immediate request is as soon as it is posted.
    pub(crate) fn into_event(mut self, id: EventId) -> Event {
        self.0.op.result = 0;
        self.0.id = id;
        Event(self.0)
    }

    /// What `into_op` made, back.
    ///
    /// # Safety
    /// The operation came from `into_op`, and nobody has taken it over.
    pub(crate) unsafe fn from_op(op: *mut RawOp) -> Self {
        // SAFETY: by contract; the operation is the first field of the box.
        Self(unsafe { Box::from_raw(op.cast::<EventBody>()) })
    }

    /// Points the operation at the body, before it is handed over to the channel of this number. Calls the program's `AsFd`.
    pub(crate) fn prepare(&mut self, now: Instant, channel: u32) {
        self.0.id = EventId::none(channel);
        self.0.prepare(now);
    }

    /// The body, prepared, as the port wants it. Whoever gets it owns it.
    pub(crate) fn into_op(self) -> *mut RawOp {
        Box::into_raw(self.0).cast()
    }
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        event.again()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("kind", &self.kind()).finish_non_exhaustive()
    }
}
