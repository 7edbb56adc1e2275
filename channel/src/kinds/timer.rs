//! A point in time, or one after the other.

use super::EventKind;
use crate::events::body::{Body, Kept, When};
use crate::events::event::Event;
use crate::events::inside::{Inside, Plain};
use crate::events::request::Request;
use crate::events::stream::{Flow, Found, GivenBack, Item, Origin};
use std::cell::LazyCell;
use std::time::{Duration, Instant};

/// What never comes: the wheel's horizon is nearer anyway.
const FAR: Duration = Duration::from_secs(1 << 40);

struct Interval {
    flow: Flow,
    first: Option<Instant>,
    period: Duration,
    /// The next tick.
    next: Instant,
}

impl Interval {
    fn new(first: Option<Instant>, period: Duration) -> Self {
        let period = period.max(Duration::from_nanos(1));
        Interval { flow: Flow::new(GivenBack::Fetched), first, period, next: Instant::now() }
    }

    /// The tick comes next, if the limit does not.
    fn await_tick(&mut self, next: Option<Instant>, now: Instant) {
        self.next = next.or_else(|| now.checked_add(FAR)).unwrap_or(now);
        self.flow.next = Some(self.flow.limit.map_or(self.next, |limit| limit.min(self.next)));
    }
}

impl Kept for Interval {
    fn kind(&self) -> u8 {
        EventKind::Timer as u8
    }

    fn flow(&mut self) -> Option<&mut Flow> {
        Some(&mut self.flow)
    }

    fn deadline(&mut self, now: &LazyCell<Instant>, limit: Option<Instant>) -> Option<Instant> {
        let now = **now;
        self.flow.limit = limit;
        let first = self.first.or_else(|| now.checked_add(self.period));
        self.await_tick(first, now);
        self.flow.next
    }

    fn item(&mut self, _result: i32, now: Instant, origin: &Origin<'_>) -> Result<Inside, i32> {
        // Beyond the limit there is none, however late it is.
        let end = self.flow.limit.map_or(now, |limit| limit.min(now));
        if self.next > end {
            return Err(-libc::ETIME);
        }
        // Ticks are where they were said to be, however late this one is.
        let late = end.saturating_duration_since(self.next).as_nanos();
        let missed = late / self.period.as_nanos();
        let ahead = self.period.as_nanos() - late % self.period.as_nanos();
        let next = u64::try_from(ahead).ok().and_then(|ahead| end.checked_add(Duration::from_nanos(ahead)));
        self.await_tick(next, now);
        let found = Tick { missed: u64::try_from(missed).unwrap_or(u64::MAX) };
        Ok(origin.item(EventKind::Timer as u8, &self.flow, found))
    }
}

struct Tick {
    missed: u64,
}

impl Found for Tick {}

impl Event {
    /// Of a tick of an [interval](Request::interval): how many ticks have passed before it, since the last one that came, that no event
    /// came for. 0 for everything else.
    pub fn missed(&self) -> u64 {
        self.0.of_kind::<Item<Tick>>().map_or(0, |item| item.found.missed)
    }
}

impl Request {
    /// Completes `after` it was posted: never earlier, and as a rule less than 0.1 ms later.
    pub fn timer(after: Duration) -> Self {
        Self::of(Plain::new(EventKind::Timer as u8)).within(after)
    }

    /// Completes at a point in time; at once if that has passed. (That of the system's clock: [`wall_clock`](Self::wall_clock).)
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::time::{Duration, Instant};
    /// let channel = EventChannel::new()?;
    /// let end = Instant::now() + Duration::from_millis(2);
    /// channel.post(Request::timer_at(end))?;
    /// channel.get_event()?.result()?;
    /// assert!(Instant::now() >= end);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn timer_at(at: Instant) -> Self {
        let mut body = Body::new(Plain::new(EventKind::Timer as u8));
        body.common.when = When::At(at);
        Self(Inside::Body(body))
    }

    /// A stream of ticks, `period` apart, the first of them one `period` after it was posted. Each is never early, and none is put off by
    /// another that was late. One that nobody had time for is not made up for: the next one [says](Event::missed) how many were missed.
    /// A period of no time is one of a nanosecond. It ends when it is cancelled, or with its time limit: a tick that is due by then still
    /// comes, however late, and none after it is counted as missed.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::time::{Duration, Instant};
    /// let (channel, start) = (EventChannel::new()?, Instant::now());
    /// let id = channel.post(Request::interval(Duration::from_millis(2)))?;
    /// let mut ticks = 0;
    /// while ticks < 5 {
    ///     ticks += 1 + channel.get_event()?.missed();
    /// }
    /// assert!(start.elapsed() >= Duration::from_millis(10));
    /// channel.cancel(id);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn interval(period: Duration) -> Self {
        Self::of(Interval::new(None, period))
    }

    /// As [`interval`](Self::interval), the first tick at `first`. If that has passed a tick comes at once, and those between are missed: so
    /// ticks stay where they are if it is posted [again](Event::again).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::time::{Duration, Instant};
    /// let channel = EventChannel::new()?;
    /// let (start, period) = (Instant::now(), Duration::from_millis(2));
    /// // The first at once, and then every two milliseconds.
    /// channel.post(Request::interval_at(start, period))?;
    /// let mut ticks = 0;
    /// while ticks < 3 {
    ///     ticks += 1 + channel.get_event()?.missed() as u32;
    /// }
    /// assert!(start.elapsed() >= period * (ticks - 1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn interval_at(first: Instant, period: Duration) -> Self {
        Self::of(Interval::new(Some(first), period))
    }
}
