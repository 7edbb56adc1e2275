//! [`LocalChannel`]: a channel for one thread (or task), with handlers that stay there.

use crate::builder::{ChannelBuilder, ChannelMetrics, PostError};
use crate::drivers::{Driver, DriverInfo};
use crate::events::body::Taker;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::foreign;
use crate::fork;
use crate::getting::shared::{EventChannel, forked_error};
use crate::id::EventId;
use crate::ports::Wait;
use crate::ports::in_flight::InFlight;
use crate::poster::Poster;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// How long a dropped channel waits for its requests to come back.
const LONGEST: Duration = Duration::from_secs(1);

/// A channel that belongs to whoever made it: one thread, or one task, wherever that runs. It is neither `Send` nor `Sync`. In return its
/// handlers need not be `Send`: they run one at a time, in [`get_event`](Self::get_event) and [`run`](Self::run), and may share what they
/// like. They lie in the channel, never in an event, and are dropped by the owner.
///
/// Others post to it by way of a [`Poster`]. Dropped, it shuts itself down and waits for what is in flight, for a second at most; no handler
/// is called. Then the channel in it goes, [as any other](EventChannel#when-it-is-dropped), which may take another second.
///
/// ```
/// use ec_channel::{EventChannel, Request};
/// use std::{cell::Cell, rc::Rc, time::Duration};
/// let channel = EventChannel::builder().single_threaded().build()?;
/// let ticks = Rc::new(Cell::new(0));
/// let counted = ticks.clone();
/// channel.post_with(Request::timer(Duration::from_millis(1)), move |_, event| {
///     counted.set(counted.get() + 1);
///     (counted.get() < 3).then(|| event.again()) // posted again, with this handler
/// })?;
/// channel.run()?; // until nothing is left
/// assert_eq!(ticks.get(), 3);
/// # Ok::<(), std::io::Error>(())
/// ```
/// It stays where it is, and so do its handlers:
///
/// ```compile_fail,E0277
/// let channel = ec_channel::EventChannel::builder().single_threaded().build().unwrap();
/// std::thread::spawn(move || channel.run()); // not `Send`
/// ```
/// ```compile_fail,E0277
/// let channel = ec_channel::EventChannel::builder().single_threaded().build().unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(|| channel.run()); // not `Sync`
/// });
/// ```
pub struct LocalChannel {
    channel: EventChannel,
    /// (One that runs is not in it.)
    handlers: RefCell<HashMap<EventId, Handler>>,
    /// That of what others post.
    on_posts: RefCell<Option<PostsHandler>>,
    /// Got in [`run`](Self::run), for whoever gets events.
    kept: RefCell<VecDeque<Event>>,
    /// So many that were posted here have not come back yet.
    ours: Cell<usize>,
    stays: PhantomData<*const ()>,
}

type Handler = Box<dyn FnMut(&LocalChannel, Event) -> Option<Request>>;
type PostsHandler = Box<dyn FnMut(&LocalChannel, Event)>;

/// Makes a [`LocalChannel`]: see [`ChannelBuilder::single_threaded`].
#[derive(Clone, Debug)]
pub struct LocalBuilder(ChannelBuilder);

impl ChannelBuilder {
    /// For a channel that belongs to one thread or task.
    pub fn single_threaded(self) -> LocalBuilder {
        LocalBuilder(self.ports(1))
    }
}

impl LocalBuilder {
    /// As [`ChannelBuilder::driver`].
    pub fn driver(self, driver: Driver) -> Self {
        LocalBuilder(self.0.driver(driver))
    }

    /// # Errors
    /// As [`ChannelBuilder::build`].
    pub fn build(self) -> io::Result<LocalChannel> {
        Ok(LocalChannel {
            channel: self.0.build()?,
            handlers: RefCell::default(),
            on_posts: RefCell::default(),
            kept: RefCell::default(),
            ours: Cell::new(0),
            stays: PhantomData,
        })
    }
}

impl LocalChannel {
    /// The driver in use, and why this one.
    pub fn driver(&self) -> &DriverInfo {
        self.channel.driver()
    }

    /// As [`EventChannel::in_flight`].
    ///
    /// # Errors
    /// As there.
    pub fn in_flight(&self) -> io::Result<Vec<InFlight>> {
        self.channel.in_flight()
    }

    /// As [`EventChannel::user_data`]. (It goes with the last [`Poster`], if one outlives the channel.)
    pub fn user_data<T: Any>(&self) -> Option<&T> {
        self.channel.user_data()
    }

    /// As [`EventChannel::post`].
    ///
    /// # Errors
    /// As there. A request with a handler by [`Request::on_complete`], which may go to other threads, is
    /// [invalid](io::ErrorKind::InvalidInput): [`post_with`](Self::post_with) is for that.
    pub fn post(&self, request: impl Into<Request>) -> Result<EventId, PostError> {
        self.post_for(Taker::Owner, request.into())
    }

    fn post_for(&self, taker: Taker, mut request: Request) -> Result<EventId, PostError> {
        request.0.set_foreign(false);
        if request.0.has_handler() {
            let what = "a handler of a LocalChannel is given to post_with, and not to the request";
            return Err(PostError { request, error: io::Error::new(io::ErrorKind::InvalidInput, what) });
        }
        let id = self.channel.post_for(taker, request)?;
        self.ours.set(self.ours.get() + 1);
        Ok(id)
    }

    /// Posts a request whose event `handler` gets, in place of whoever gets events. What it returns is posted next, with the same handler.
    /// (If that is refused, since the channel has been shut down, both are dropped.)
    ///
    /// It may get events itself: other handlers are called within it then, on its stack.
    ///
    /// Of a stream it gets each item, one after the other: the next one comes when it has returned; and then the last event. It stays
    /// with the stream: what it returns for an item is posted without a handler.
    ///
    /// # Errors
    /// As [`post`](Self::post). The handler is dropped then.
    pub fn post_with(
        &self,
        request: impl Into<Request>,
        handler: impl FnMut(&LocalChannel, Event) -> Option<Request> + 'static,
    ) -> Result<EventId, PostError> {
        let id = self.post_for(Taker::OwnersHandler, request.into())?;
        // (Nobody else gets events: it cannot have come back.)
        self.handlers.borrow_mut().insert(id, Box::new(handler));
        Ok(id)
    }

    /// From now on `handler` gets what [`Poster`]s post, in place of whoever gets events. (What is taken out of the channel by then is not
    /// for it. The one before is dropped.)
    ///
    /// ```
    /// # use ec_channel::EventChannel;
    /// # use std::time::Duration;
    /// let channel = EventChannel::builder().single_threaded().build()?;
    /// channel.on_posts(|channel, event| match event.token() {
    ///     0 => channel.shutdown(),
    ///     n => println!("{n}"),
    /// });
    /// let poster = channel.poster();
    /// std::thread::spawn(move || (0..10).rev().try_for_each(|n| poster.post(n)));
    /// assert!(channel.get_event().is_err()); // when it has been shut down
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_posts(&self, handler: impl FnMut(&LocalChannel, Event) + 'static) {
        let before = self.on_posts.replace(Some(Box::new(handler)));
        drop(before);
    }

    /// As [`EventChannel::cancel`]: the event comes back all the same, to its handler if it has one.
    pub fn cancel(&self, id: EventId) -> bool {
        self.channel.cancel(id)
    }

    /// Waits until some request without a handler is complete, and returns it. Calls handlers meanwhile.
    ///
    /// # Errors
    /// As [`EventChannel::get_event`].
    ///
    /// # Panics
    /// If a handler does. It is gone then; the others are not.
    pub fn get_event(&self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.next(Wait::Forever)? {
                return Ok(event);
            }
        }
    }

    /// As [`get_event`](Self::get_event), but returns `None` when no such request is complete right now. It calls the handlers of what is
    /// ready, and not of what they make ready.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn try_get_event(&self) -> io::Result<Option<Event>> {
        self.get_event_timeout(Duration::ZERO)
    }

    /// As [`get_event`](Self::get_event), but returns `None` after `timeout`. (The handlers of what is ready then are waited for.)
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn get_event_timeout(&self, timeout: Duration) -> io::Result<Option<Event>> {
        let end = Instant::now().checked_add(timeout);
        // When the time is over: so many more. (Each handler may make another one ready.)
        let mut last = None;
        while last != Some(0) {
            let left = end.map_or(timeout, |end| end.saturating_duration_since(Instant::now()));
            let event = self.next(Wait::For(left))?;
            if event.is_some() {
                return Ok(event);
            }
            if left.is_zero() {
                last = Some(last.map_or_else(|| self.channel.ready(), |last: usize| last - 1));
            }
        }
        Ok(None)
    }

    /// What is kept, or comes, for whoever gets events. `None`: a handler was called, or the time is over.
    fn next(&self, wait: Wait) -> io::Result<Option<Event>> {
        if fork::is_child() {
            return Err(forked_error());
        }
        let kept = self.kept.borrow_mut().pop_front();
        let event = kept.map_or_else(|| self.next_of_channel(wait), |event| Ok(Some(event)))?;
        Ok(event.map(|mut event| {
            event.0.fetched_from_owner();
            event
        }))
    }

    /// As [`next`](Self::next), but not fetched yet.
    fn next_of_channel(&self, wait: Wait) -> io::Result<Option<Event>> {
        let mut one = None;
        self.channel.next(&mut one, 1, wait)?;
        Ok(one.and_then(|event| self.handle(event)))
    }

    /// Calls handlers until all that was posted here has come back. (What has no handler is kept, for [`get_event`](Self::get_event). What
    /// a [`Poster`] posts is not waited for.) A stream without a handler goes no further than its [credit](Request::credit) here.
    ///
    /// # Errors
    /// As [`EventChannel::get_event`].
    ///
    /// # Panics
    /// As [`get_event`](Self::get_event).
    pub fn run(&self) -> io::Result<()> {
        while self.ours.get() > 0 {
            let event = self.next_of_channel(Wait::Forever)?;
            self.kept.borrow_mut().extend(event);
        }
        Ok(())
    }

    /// As [`EventChannel::shutdown`].
    pub fn shutdown(&self) {
        self.channel.shutdown();
    }

    /// Whether [`shutdown`](Self::shutdown) was called.
    pub fn is_shut_down(&self) -> bool {
        self.channel.is_shut_down()
    }

    /// For other threads and tasks, to post to this channel.
    pub fn poster(&self) -> Poster {
        Poster(self.channel.clone())
    }

    /// What has passed through the channel so far.
    pub fn metrics(&self) -> ChannelMetrics {
        self.channel.metrics()
    }

    /// One less is to come, if it was posted here, and is the last of its request.
    fn has_come(&self, event: &Event) {
        let is_over = event.is_last() && !event.0.is_foreign();
        self.ours.set(self.ours.get().saturating_sub(usize::from(is_over)));
    }

    /// Calls the handler of an event that has come, or gives it back.
    fn handle(&self, mut event: Event) -> Option<Event> {
        self.has_come(&event);
        if event.0.is_foreign() {
            return self.handle_post(event);
        }
        let id = event.id();
        // (Taken out: it may post, cancel and get as it likes; and it is gone with a panic.)
        let Some(mut handler) = self.handlers.borrow_mut().remove(&id) else { return Some(event) };
        // Of an item of a stream: the next one comes when this handler has returned.
        let _credit = event.0.take_credit();
        let is_last = event.is_last();
        let next = handler(self, event);
        if fork::is_child() {
            // (There.)
            std::mem::forget((next, handler));
        } else if !is_last {
            self.handlers.borrow_mut().insert(id, handler);
            next.map(|next| self.post(next));
        } else if let Some(next) = next
            && let Ok(id) = self.post_for(Taker::OwnersHandler, next)
        {
            self.handlers.borrow_mut().insert(id, handler);
        }
        None
    }

    /// As [`handle`](Self::handle), for what others have posted.
    fn handle_post(&self, event: Event) -> Option<Event> {
        let Some(mut handler) = self.on_posts.take() else { return Some(event) };
        handler(self, event);
        if fork::is_child() {
            std::mem::forget(handler);
            return None;
        }
        // (It may have been replaced meanwhile, by itself.)
        let replaced = {
            let mut now = self.on_posts.borrow_mut();
            match *now {
                Some(_) => Some(handler),
                None => now.replace(handler),
            }
        };
        drop(replaced);
        None
    }
}

impl Drop for LocalChannel {
    /// Cancels what is in flight, and drops it and the handlers, here.
    fn drop(&mut self) {
        self.channel.shutdown();
        let end = Instant::now() + LONGEST;
        // (Nothing is a cancellation point here. A thread that unwinds does not wait.)
        while !std::thread::panicking() && self.ours.get() > 0 && Instant::now() < end {
            match self.channel.try_get_event() {
                Ok(Some(event)) => {
                    self.has_come(&event);
                    event.0.discard();
                }
                Ok(None) => std::thread::yield_now(),
                Err(_) => break,
            }
        }
        // (A child drops nothing of its parent's.)
        for event in self.kept.take() {
            match fork::is_child() {
                true => std::mem::forget(event),
                false => event.0.discard(),
            }
        }
        for (_, handler) in self.handlers.take() {
            foreign::let_go_unless(false, handler);
        }
        foreign::let_go_unless(false, self.on_posts.take());
    }
}

impl fmt::Debug for LocalChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalChannel").field("driver", &self.driver().kind()).finish_non_exhaustive()
    }
}
