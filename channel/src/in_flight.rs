//! [`EventChannel`]: what is in flight.

use crate::drivers::Driver;
use crate::fork;
use crate::getting::shared::EventChannel;
use crate::ports::in_flight::{InFlight, Stage};
use std::cmp::Reverse;
use std::fmt;
use std::io;
use std::time::Duration;

/// So long it is waited for a pass that is made while somebody asks what is in flight.
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// So many are printed.
const PRINTED: usize = 16;

impl EventChannel {
    /// What is in flight, for those who ask why nothing comes: each request that was posted and has not come back, with who has it. The
    /// oldest come first; those that nobody has taken in come last. What is complete, and not fetched, is not among them
    /// ([`ChannelMetrics::ready`](crate::ChannelMetrics::ready)), nor are the operations of suspended tasks (a runtime's dump has these).
    ///
    /// No code of the program's is called. It may be called anywhere, also while others get events and post, and blocks for as long as it
    /// takes to write the list: some milliseconds for 100,000. It disturbs nobody for longer than that. In a forked child there is nothing.
    ///
    /// # Errors
    /// For 0.1 s a thread that drives the channel neither came to an end nor waited for the driver ([`TimedOut`](io::ErrorKind::TimedOut)). So
    /// it is, at once, if that thread itself asks (in an allocator, say).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request, Stage};
    /// # use std::{os::{fd::AsRawFd, unix::net::UnixStream}, time::Duration};
    /// let channel = EventChannel::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// let number = near.as_raw_fd();
    /// channel.post(Request::recv(near, Vec::with_capacity(16)).token(7))?;
    /// let [receive] = &channel.in_flight()?[..] else { panic!() };
    /// assert_eq!((receive.token, receive.descriptor), (7, Some(number)));
    /// assert_eq!(receive.stage, Stage::Posted); // nobody gets events
    ///
    /// assert!(channel.get_event_timeout(Duration::from_millis(1))?.is_none());
    /// for request in channel.in_flight()? {
    ///     println!("{request}"); // recv, token 7, descriptor 5: with the driver, 4ms
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn in_flight(&self) -> io::Result<Vec<InFlight>> {
        self.in_flight_within(LONGEST_LOOK)
    }

    fn in_flight_within(&self, limit: Duration) -> io::Result<Vec<InFlight>> {
        let mut all = Vec::new();
        if fork::is_child() {
            return Ok(all);
        }
        for port in &self.0.ports {
            let Some(more) = port.in_flight(self.0.number, limit) else {
                let what = "a thread that drives the event channel does not come to an end";
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            };
            all.extend(more);
        }
        all.sort_by_key(|it| Reverse(it.since.unwrap_or_default()));
        // (A driver that is told by readiness carries nothing out otherwise.)
        if matches!(self.driver().kind(), Driver::Epoll | Driver::Poll) {
            let with_driver = all.iter_mut().filter(|it| it.stage == Stage::Driver);
            with_driver.for_each(|it| it.stage = Stage::Readiness);
        }
        Ok(all)
    }
}

/// With the oldest of what is in flight, unless a thread that drives the channel is busy with it at that moment.
impl fmt::Debug for EventChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EventChannel");
        shown.field("driver", self.driver()).field("ports", &self.ports());
        if let Ok(all) = self.in_flight_within(Duration::ZERO) {
            shown.field("in_flight", &Oldest(&all));
        }
        shown.finish_non_exhaustive()
    }
}

struct Oldest<'a>(&'a [InFlight]);

impl fmt::Debug for Oldest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (printed, rest) = self.0.split_at(self.0.len().min(PRINTED));
        let mut list = f.debug_list();
        for it in printed {
            list.entry(&format_args!("{it}"));
        }
        if !rest.is_empty() {
            list.entry(&format_args!("{} more", rest.len()));
        }
        list.finish()
    }
}
