//! Posting.

#![allow(unsafe_code)]

use crate::blocker;
use crate::builder::{PostAllError, PostError};
use crate::events::body::{Body, Taker};
use crate::events::event::Event;
use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::fork;
use crate::getting::shared::{EventChannel, Shared, forked_error};
use crate::getting::tally::Tally;
use crate::id::{EventId, OpId};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl EventChannel {
    /// Hands a request over and returns its id at once. A completed [`Event`] is a request too: it is posted again
    /// as it is, without allocating.
    ///
    /// # Errors
    /// The channel was [shut down](Self::shutdown); it belongs to the parent process of this one; 16,777,216 requests are in flight on one
    /// port ([`QuotaExceeded`](io::ErrorKind::QuotaExceeded)); an item of a stream cannot be posted
    /// ([`InvalidInput`](io::ErrorKind::InvalidInput)). The request comes back inside the error. An error of the operation itself is found
    /// in its event.
    ///
    /// # Panics
    /// If the `AsFd` of what the program has given as a [`Source`](crate::Source) does.
    pub fn post(&self, request: impl Into<Request>) -> Result<EventId, PostError> {
        self.post_for(Taker::Anybody, request.into())
    }

    /// Its events are for this one.
    pub(crate) fn post_for(&self, taker: Taker, mut request: Request) -> Result<EventId, PostError> {
        match self.prepare(&mut request.0, taker) {
            Ok(()) => self.hand_over(request, &mut Posted::new(self)),
            Err(error) => Err(PostError { request, error }),
        }
    }

    /// As [`post`](Self::post), for many. First the iterator is run to its end; then all that it has given are posted, and whoever sleeps is
    /// woken once for all of them. Gives their ids, in order.
    ///
    /// # Errors
    /// As there. What comes before the first that was not posted has been posted; what comes behind it is given back.
    ///
    /// # Panics
    /// As there, and if the iterator does. Then none is posted.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// let ids = channel.post_all((0..32).map(|n| Request::notification().token(n)))?;
    /// let mut events = Vec::new();
    /// assert_eq!(channel.get_events(&mut events, 32, None)?, 32);
    /// assert!(events.iter().map(|event| event.id()).eq(ids));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn post_all(
        &self,
        requests: impl IntoIterator<Item = impl Into<Request>>,
    ) -> Result<Vec<EventId>, PostAllError> {
        // What is the program's is run first, while nothing has been counted, and nobody is to be woken: it may wait, call this channel
        // and panic.
        let requests = requests.into_iter();
        let mut unposted = Unposted(Vec::with_capacity(requests.size_hint().0.min(MOST_FORESEEN)));
        requests.for_each(|request| unposted.0.push(Event(request.into().0)));
        self.post_these(unposted)
    }

    fn post_these(&self, mut unposted: Unposted) -> Result<Vec<EventId>, PostAllError> {
        let (mut fine, mut refused) = (unposted.0.len(), None);
        for (at, event) in unposted.0.iter_mut().enumerate() {
            if let Err(error) = self.prepare(&mut event.0, Taker::Anybody) {
                (fine, refused) = (at, Some(error));
                break;
            }
        }
        let mut events = std::mem::take(&mut unposted.0).into_iter();
        let mut ids = Vec::with_capacity(events.len());
        let mut posted =
            Posted { at_once: (events.len() as u64).clamp(1, MOST_AT_ONCE), ..Posted::new(self) };
        let first = loop {
            let left = fine - ids.len();
            let together = posted.complete(&mut events.as_mut_slice()[..left], &mut ids);
            self.0.waiting.push_all(&mut events, together);
            let Some(event) = events.next() else { return Ok(ids) };
            let request = Request(event.0);
            if left == together
                && let Some(error) = refused.take()
            {
                break PostError { request, error };
            }
            match self.hand_over(request, &mut posted) {
                Ok(id) => ids.push(id),
                Err(error) => break error,
            }
        };
        drop(posted);
        Err(PostAllError { ids, first, rest: events.map(|event| Request(event.0)).collect() })
    }

    /// Before anything is counted: what is the program's own is called here (`AsFd`).
    #[inline]
    fn prepare(&self, request: &mut Inside, taker: Taker) -> io::Result<()> {
        if fork::is_child() {
            return Err(forked_error());
        }
        match request {
            Inside::Body(_) => self.prepare_body(request, taker),
            Inside::Bare(_) => Ok(()),
        }
    }

    fn prepare_body(&self, request: &mut Inside, taker: Taker) -> io::Result<()> {
        let Some(body) = request.body_mut() else { return Ok(()) };
        if body.is_item() {
            let what = "an item of a stream cannot be posted: its stream goes on by itself";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let prepare = || body.prepare(self.0.number, taker);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(prepare)) {
            // What goes with the request may panic, too: not while this unwinds.
            std::mem::replace(request, Inside::bare(0)).discard();
            resume_unwind(panic);
        }
        // (There.)
        if fork::is_child() { Err(forked_error()) } else { Ok(()) }
    }

    #[inline(always)]
    fn hand_over(&self, mut request: Request, posted: &mut Posted<'_>) -> Result<EventId, PostError> {
        if let Inside::Body(body) = &mut request.0 {
            body.open(|| Arc::<Shared>::downgrade(&self.0));
        }
        if request.0.is_immediate() {
            return self.hand_over_immediate(request, posted);
        }
        self.hand_over_to_port(request, posted)
    }

    fn hand_over_to_port(&self, request: Request, posted: &mut Posted<'_>) -> Result<EventId, PostError> {
        // Before the look at the state: a shutdown that this does not see waits for it.
        self.0.waiting.tally.posted();
        if request.0.has_handler() {
            self.0.handlers_due.fetch_add(1, Ordering::SeqCst);
        }
        if self.is_shut_down() {
            return Err(self.refuse(request, self.end_error()));
        }
        let port = *posted.port.get_or_insert_with(|| self.port_for_post());
        // SAFETY: the operation lies in a box of its own that nobody else can reach; it holds its descriptor open,
        // its wake function does nothing, and the port gives the box back as an event.
        let taken = unsafe { self.0.ports[port].submit(request.0.with_body().into_head()) };
        let id = taken.map_err(|op| {
            let what = "too many requests are in flight on one port of the event channel";
            // SAFETY: the port has not taken it, so it is the box that was made of the request just now.
            let request = Request(Inside::Body(unsafe { Body::from_head(op) }));
            self.refuse(request, io::Error::new(io::ErrorKind::QuotaExceeded, what))
        })?;
        // A shutdown since the check above may have cancelled what was there without seeing this one.
        if self.is_shut_down() {
            self.0.ports[port].cancel(id, true);
        }
        Ok(EventId::new(id, self.0.number))
    }

    fn refuse(&self, request: Request, error: io::Error) -> PostError {
        self.0.waiting.tally.not_posted();
        if request.0.has_handler() {
            self.handler_is_over();
        }
        // For a moment it looked as if one more were to come: whoever looked just then waits for it.
        self.release(self.0.waiting.state.lock());
        PostError { request, error }
    }

    #[inline(always)]
    fn hand_over_immediate(
        &self,
        mut request: Request,
        posted: &mut Posted<'_>,
    ) -> Result<EventId, PostError> {
        let waiting = &self.0.waiting;
        posted.count();
        if self.is_shut_down() {
            return Err(PostError { request, error: self.end_error() });
        }
        let id = EventId::new(OpId::slotless(posted.number()), self.0.number);
        request.0.complete_at_once(id);
        if request.0.wakes_all() {
            self.lay(Event(request.0), posted);
            return Ok(id);
        }
        posted.ready = true;
        waiting.push(Event(request.0));
        Ok(id)
    }

    /// One for each who waits; else it is for the next one.
    #[cold]
    fn lay(&self, event: Event, posted: &mut Posted<'_>) {
        let waiting = &self.0.waiting;
        match waiting.seats.lay(event, |copies| _ = waiting.tally.immediate(copies)) {
            Ok(()) => posted.for_all = true,
            Err(event) => {
                posted.ready = true;
                waiting.push(event);
            }
        }
    }

    fn port_for_post(&self) -> usize {
        if self.0.ports.len() == 1 || !self.0.waiting.state.lock().served {
            return 0;
        }
        let home = blocker::installed().and_then(|b| b.home_port());
        home.unwrap_or_else(|| self.0.next_port.fetch_add(1, Ordering::Relaxed)) % self.0.ports.len()
    }
}

/// For so many of them room is made at once. An iterator may say that it has more than it has.
const MOST_FORESEEN: usize = 4096;

/// Requests that are to be posted. If something panics meanwhile they go without noise.
struct Unposted(Vec<Event>);

impl Drop for Unposted {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|event| event.0.discard());
    }
}

/// So many are counted at once, at most.
const MOST_AT_ONCE: u64 = 64;

/// What was posted. Whoever is to see to it is woken when this is dropped.
struct Posted<'a> {
    channel: &'a EventChannel,
    /// Something is ready.
    ready: bool,
    /// Something was laid on all seats.
    for_all: bool,
    /// Where the rest went.
    port: Option<usize>,
    /// How many that are complete at once are counted at once.
    at_once: u64,
    /// The number for the next of them, and how many have been counted and not posted yet.
    next: u64,
    left: u64,
}

impl<'a> Posted<'a> {
    fn new(channel: &'a EventChannel) -> Self {
        Posted { channel, ready: false, for_all: false, port: None, at_once: 1, next: 0, left: 0 }
    }

    /// Completes those at the beginning of `events` that are complete as they are posted and go with nothing. They are to be queued. Gives
    /// how many they are.
    #[inline]
    fn complete(&mut self, events: &mut [Event], ids: &mut Vec<EventId>) -> usize {
        let mut many = 0;
        for event in events {
            let Inside::Bare(bare) = &mut event.0 else { break };
            self.count();
            if bare.wakes_all() || self.channel.is_shut_down() {
                break;
            }
            bare.id = EventId::new(OpId::slotless(self.number()), self.channel.0.number);
            ids.push(bare.id);
            many += 1;
        }
        self.ready |= many > 0;
        many
    }

    /// One that is complete at once has been counted when this returns: before the look at the state, so a shutdown that that does not see
    /// waits for it.
    #[inline]
    fn count(&mut self) {
        if self.left == 0 {
            self.left = self.at_once;
            self.next = self.channel.0.waiting.tally.immediate(self.at_once);
        }
    }

    /// The number of one that has been counted.
    #[inline]
    fn number(&mut self) -> u64 {
        self.left -= 1;
        let number = self.next;
        self.next += Tally::STEP;
        number
    }
}

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        let shared = &self.channel.0;
        if self.left > 0 {
            shared.waiting.tally.unused(self.left);
            // For a moment it looked as if more were to come: whoever looked just then waits for them.
            if self.channel.is_shut_down() {
                shared.release(shared.waiting.state.lock());
            }
        }
        if self.for_all {
            shared.wake_everybody();
        }
        if self.ready {
            shared.wake();
        }
        if let Some(port) = self.port {
            shared.ports[port].wake();
            // A pool that has gone since the port was chosen leaves it to the getters, who may sleep in the first.
            if port != 0 && !shared.waiting.state.lock().served {
                shared.ports[0].waker().call();
            }
        }
    }
}
