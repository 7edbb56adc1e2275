//! [`Request`]: what is posted. How each kind is made stands in its file (`kinds/`).

use crate::EventChannel;
use crate::events::body::{Kept, When};
use crate::events::event::Event;
use crate::events::inside::Inside;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
pub struct Request(pub(crate) Inside);

impl Request {
    /// One that holds this.
    pub(crate) fn of(own: impl Kept) -> Self {
        Self(Inside::of(own))
    }

    /// A number of the application's own, which comes back with the event.
    pub fn token(mut self, token: u64) -> Self {
        self.0.set_token(token);
        self
    }

    /// Anything of the application's own, which comes back with the event.
    pub fn context(self, context: Box<dyn Any + Send>) -> Self {
        let mut body = self.0.with_body();
        body.common.context = Some(context);
        Self(Inside::Body(body))
    }

    /// Of a stream ([`interval`](Self::interval), say): how many of its items may be unfetched, 64 if nothing is said and at least 1. Beyond
    /// it the stream pauses until one is fetched; nothing is dropped. A stream with a handler, and one of
    /// [readiness](Self::readiness_stream), has one item at a time, whatever is said. What is no stream takes no notice of it.
    pub fn credit(mut self, items: u32) -> Self {
        if let Some(flow) = self.0.body_mut().and_then(|body| body.own.flow()) {
            flow.set_most(items);
        }
        self
    }

    /// Gives the request up after this time from its posting ([`Event::is_timed_out`]). The time starts anew with each posting
    /// ([`Event::again`]). A stream ends with it, behind what is due by then: one that pauses when its items are fetched, or its handler has
    /// returned. (One of [readiness](Self::readiness_stream) without a handler ends at once, though its item is held.) For a timer it
    /// replaces the time; a notification takes no notice of it.
    pub fn within(mut self, limit: Duration) -> Self {
        if let Some(body) = self.0.body_mut() {
            body.common.when = When::After(limit);
        }
        self
    }

    /// At another offset: a read or write of a file that was got, say, and is posted [again](Event::again). Of a
    /// [`splice_at`](Self::splice_at) it is the one that was given. What has no offset takes no notice of it.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # let channel = EventChannel::new()?;
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// channel.post(Request::read_at(file, Vec::with_capacity(1), 0))?;
    /// let event = channel.get_event()?;
    /// assert_eq!(event.buffer(), b"[");
    /// channel.post(event.again().at_offset(1))?;
    /// assert_eq!(channel.get_event()?.buffer(), b"p");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn at_offset(mut self, offset: u64) -> Self {
        if let Some(place) = self.0.body_mut().and_then(|body| body.own.offset_mut()) {
            *place = offset;
        }
        self
    }

    /// Instead of being returned from `get_event`, the event is given to `handler`: by the pool
    /// that serves the channel, else by a thread that is in `get_event`. The handler should not block. A panic in it
    /// is caught and logged; the event is gone then.
    ///
    /// A handler that gets events itself may call other handlers meanwhile: within it, on its stack. (So if each of thousands does, they
    /// are nested thousands deep.)
    ///
    /// The handler stays with the event, so posting [`Event::again`] from within goes on with it. That of a stream is called for each item,
    /// one at a time and in order, and then for the last event.
    pub fn on_complete(self, handler: impl Fn(&EventChannel, Event) + Send + Sync + 'static) -> Self {
        let mut body = self.0.with_body();
        body.common.handler = Some(Arc::new(move |channel, inside| handler(channel, Event(inside))));
        Self(Inside::Body(body))
    }

    /// Takes the application's context back out of a request that was not posted, a refused one for instance.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// channel.shutdown();
    /// let refused = channel.post(Request::notification().token(7).context(Box::new("a job"))).unwrap_err();
    /// assert!(format!("{refused:?}").contains("token: 7"));
    /// let job = refused.into_request().take_context().unwrap();
    /// assert_eq!(*job.downcast::<&str>().unwrap(), "a job");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_context(&mut self) -> Option<Box<dyn Any + Send>> {
        self.0.take_context()
    }

    /// As [`into_buffer`](Self::into_buffer); an empty one stays.
    ///
    /// ```
    /// # use ec_channel::Request;
    /// let (near, _far) = std::os::unix::net::UnixStream::pair()?;
    /// let mut send = Request::send(near, b"unsaid".to_vec());
    /// assert_eq!(send.take_buffer(), b"unsaid");
    /// assert!(send.take_buffer().is_empty());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_buffer(&mut self) -> Vec<u8> {
        self.0.take_buffer()
    }

    /// Takes all buffers back out of a request with several ([`send_vectored`](Self::send_vectored), say); none stay.
    pub fn take_buffers(&mut self) -> Vec<Vec<u8>> {
        self.0.take_buffers()
    }

    /// Takes a buffer back out of a request that was not posted. Empty where the kind has none.
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.take_buffer()
    }
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        event.again()
    }
}

/// With its token, and its descriptor if it has one (the `AsFd` of a [`Source`](crate::Source) is called for it).
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("kind", &self.kind());
        self.0.show(&mut shown).finish_non_exhaustive()
    }
}
