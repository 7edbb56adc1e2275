//! [`EventChannel`]: get, cancel, shut down.

use crate::builder::{ChannelBuilder, ChannelMetrics};
use crate::drivers::DriverInfo;
use crate::events::event::Event;
use crate::fork;
use crate::getting::shared::EventChannel;
use crate::id::EventId;
use crate::ports::{Port, Wait};
use std::any::Any;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl EventChannel {
    /// A channel with the default settings; see [`builder`](Self::builder).
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// For a channel with other than the default settings.
    pub fn builder() -> ChannelBuilder {
        ChannelBuilder::default()
    }

    /// The driver in use, and why this one.
    pub fn driver(&self) -> &DriverInfo {
        &self.0.info
    }

    /// What [`ChannelBuilder::user_data`] has put into the channel, if it is a `T`.
    ///
    /// ```
    /// use ec_channel::{EventChannel, Request};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// #[derive(Default)]
    /// struct Served(AtomicU64);
    /// let channel = EventChannel::builder().user_data(Served::default()).build()?;
    /// channel.post(Request::notification().on_complete(|channel, _| {
    ///     channel.user_data::<Served>().unwrap().0.fetch_add(1, Ordering::Relaxed);
    /// }))?;
    /// assert!(channel.try_get_event()?.is_none());
    /// assert_eq!(channel.user_data::<Served>().unwrap().0.load(Ordering::Relaxed), 1);
    /// assert!(channel.user_data::<String>().is_none()); // it is something else
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn user_data<T: Any>(&self) -> Option<&T> {
        self.0.user_data.get()
    }

    /// The number of ports.
    pub fn ports(&self) -> usize {
        self.0.ports.len()
    }

    /// Waits until some request is complete and returns it, with its data, its buffers and its error inside. Blocks
    /// the calling thread; a task is suspended.
    ///
    /// # Errors
    /// The channel was shut down and everything posted has come back, or the operating system fails in a way that
    /// is not one request's (if for good, an [`InternalError`](crate::InternalError), and the channel is shut down; requests come back first, with that errno). Called by what this very thread calls while it drives the channel (an allocator), [`Deadlock`](io::ErrorKind::Deadlock). In a task, also the task's cancel or the end of a deadline around the call; no event
    /// is lost to either.
    pub fn get_event(&self) -> io::Result<Event> {
        if let Some(event) = self.next_at_once() {
            return Ok(event);
        }
        let mut one = None;
        loop {
            self.next(&mut one, 1, Wait::Forever)?;
            if let Some(event) = one.take() {
                return Ok(event);
            }
        }
    }

    /// As [`get_event`](Self::get_event), but returns `None` when nothing is complete right now. Does not block.
    ///
    /// # Errors
    /// As there. (It is no cancellation point: a task's cancel, or a deadline around the call, is none of its errors.)
    pub fn try_get_event(&self) -> io::Result<Option<Event>> {
        let mut one = self.next_at_once();
        if one.is_none() {
            self.next(&mut one, 1, Wait::No)?;
        }
        Ok(one)
    }

    /// As [`get_event`](Self::get_event), but returns `None` after `timeout`. (A handler that takes longer is waited for.)
    ///
    /// # Errors
    /// As there. That the time is over is none.
    pub fn get_event_timeout(&self, timeout: Duration) -> io::Result<Option<Event>> {
        let mut one = None;
        self.next(&mut one, 1, Wait::For(timeout))?;
        Ok(one)
    }

    /// Waits as [`get_event`](Self::get_event) (at most `timeout`; `None`: for ever) and appends up to `max` completed
    /// events to `out`. Returns how many: 0 after the time-out, or if `max` is 0. It takes what is there when it begins to take: however
    /// large `max` is, it returns while others post.
    ///
    /// # Errors
    /// As [`get_event`](Self::get_event); nothing was appended then.
    pub fn get_events(
        &self,
        out: &mut Vec<Event>,
        max: usize,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        if max == 0 {
            return Ok(0);
        }
        self.next(out, max, timeout.map_or(Wait::Forever, Wait::For))
    }

    /// Asks to cancel a posted event. It comes back all the same: as cancelled, or done if that was quicker. False: it has
    /// come back already, or is another channel's, and nothing is done. What suspended tasks wait for has no such id.
    pub fn cancel(&self, id: EventId) -> bool {
        let Some(op) = id.of(self.0.number).filter(|_| !fork::is_child()) else { return false };
        self.0.ports.get(op.port()).is_some_and(|port| port.cancel(op, true))
    }

    /// Ends the channel: nothing more can be posted, what is in flight is cancelled and comes back from
    /// `get_event` like everything else, and when nothing is left all who wait, now or later, get an error.
    /// Operations of suspended tasks go on.
    pub fn shutdown(&self) {
        if fork::is_child() || self.0.shut_down.swap(true, Ordering::SeqCst) {
            return;
        }
        self.0.ports.iter().for_each(Port::cancel_events);
        self.release(self.0.waiting.state.lock());
    }

    /// Whether [`shutdown`](Self::shutdown) was called.
    pub fn is_shut_down(&self) -> bool {
        self.0.shut_down.load(Ordering::SeqCst)
    }

    /// Whether there is something of the program's in it: posted events that nobody has got, in flight or ready; a hook.
    #[doc(hidden)]
    pub fn holds_foreign(&self) -> bool {
        self.0.hook.is_there() || !self.0.waiting.tally.is_even()
    }

    /// What has passed through the channel so far.
    pub fn metrics(&self) -> ChannelMetrics {
        if fork::is_child() {
            return ChannelMetrics::default();
        }
        let immediate = self.0.waiting.tally.all_immediate();
        let state = self.0.waiting.state.lock();
        let (calls, most_woken) = (state.calls, state.most_called);
        drop(state);
        let wakeups = calls + self.0.waiting.rung.load(Ordering::Relaxed);
        let (posted, completed) = (immediate, immediate);
        let mut m = ChannelMetrics { posted, completed, wakeups, most_woken, ..Default::default() };
        for port in &self.0.ports {
            let c = port.counts();
            m.posted += c.posted;
            m.completed += c.completed;
            m.cancelled += c.cancelled;
            m.items += c.items;
            m.helped += c.helped;
        }
        m.in_flight = m.posted - m.completed;
        m.ready = (self.0.waiting.len() + self.0.waiting.seats.laid()) as u64;
        m.handlers_due = self.0.handlers_due.load(Ordering::SeqCst) as u64;
        m
    }
}
