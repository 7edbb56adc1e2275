//! Making a channel, and the errors and counts of one.

use crate::drivers::{self, Driver};
use crate::events::request::Request;
use crate::fork;
use crate::getting::shared::EventChannel;
use crate::id::{EventId, MAX_PORTS};
use crate::ports::Port;
use std::fmt;
use std::io;

/// Makes an [`EventChannel`] with other than the default settings.
#[derive(Clone, Debug, Default)]
pub struct ChannelBuilder {
    driver: Option<Driver>,
    ports: Option<usize>,
    queue_depth: Option<usize>,
}

impl ChannelBuilder {
    /// Insists on a driver, whatever the environment says.
    pub fn driver(mut self, driver: Driver) -> Self {
        self.driver = Some(driver);
        self
    }

    /// The number of ports, 1 by default. More are of use to a pool that [drives](crate::Serving::drive) each from its own
    /// core; getters that drive the channel themselves post to the first.
    pub fn ports(mut self, ports: usize) -> Self {
        self.ports = Some(ports);
        self
    }

    /// The entries of each port's submission queue on io_uring, 128 by default: rounded up to a power of two, at least 8, at most 32,768.
    /// The completion queue has 8 times as many, at most 65,536. A longer one saves system calls where much is posted at a time; it
    /// takes some 200 bytes of the kernel's memory an entry. Other drivers have no such queue, and take no notice.
    ///
    /// It bounds nothing: of what does not fit nothing is dropped. Requests wait in the port, in their order; completions wait
    /// in the kernel.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::time::Duration;
    /// let channel = EventChannel::builder().queue_depth(8).build()?;
    /// let (near, _far) = std::os::unix::net::UnixStream::pair()?;
    /// let near = ec_channel::Source::from(near);
    /// channel.post_all((0..100).map(|_| Request::recv(near.clone(), vec![0; 1]).within(Duration::from_millis(1))))?;
    /// for _ in 0..100 {
    ///     assert!(channel.get_event()?.is_timed_out());
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn queue_depth(mut self, entries: usize) -> Self {
        self.queue_depth = Some(entries);
        self
    }

    /// # Errors
    /// The operating system refuses what the driver needs; `EVENT_CHANNEL_DRIVER` names none that exists
    /// or works; `EVENT_CHANNEL_EXCLUDE` leaves none. io_uring was asked for with a longer [queue](Self::queue_depth) than it has (if it was
    /// not, the next driver is taken). No ports, or more than 1023, are invalid. [`Unsupported`](io::ErrorKind::Unsupported): this is a forked child of a
    /// process that had a channel.
    pub fn build(self) -> io::Result<EventChannel> {
        if fork::is_child() {
            let why = "an event channel cannot be made: this is a forked child of a process that had one, and a child has none (fork before the first, or exec)";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let n = self.ports.unwrap_or(1);
        if n == 0 || n > MAX_PORTS {
            let what = format!("an event channel has 1 to {MAX_PORTS} ports, not {n}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        fork::watch()?;
        let (info, backends) = drivers::open(self.driver, n, self.queue_depth)?;
        let ports = backends.into_iter().enumerate().map(|(i, (b, w))| Port::new(i, b, w)).collect();
        Ok(EventChannel::with(ports, info))
    }
}

/// A request that was not accepted, with the reason. Turns into an [`io::Error`] with `?`.
pub struct PostError {
    pub(crate) request: Request,
    pub(crate) error: io::Error,
}

impl PostError {
    /// The request, unposted, with its buffers.
    pub fn into_request(self) -> Request {
        self.request
    }
}

impl From<PostError> for io::Error {
    fn from(e: PostError) -> Self {
        e.error
    }
}

impl fmt::Debug for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostError({:?}, {})", self.request, self.error)
    }
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request was not posted: {}", self.error)
    }
}

impl std::error::Error for PostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// What came of a [`post_all`](EventChannel::post_all) that was not accepted as a whole. Turns into an [`io::Error`] with `?`.
#[derive(Debug)]
pub struct PostAllError {
    pub(crate) ids: Vec<EventId>,
    pub(crate) first: PostError,
}

impl PostAllError {
    /// Of those that were posted.
    pub fn ids(&self) -> &[EventId] {
        &self.ids
    }

    /// The first that was not, with the reason.
    pub fn into_first(self) -> PostError {
        self.first
    }
}

impl From<PostAllError> for io::Error {
    fn from(e: PostAllError) -> Self {
        e.first.into()
    }
}

impl fmt::Display for PostAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests were posted, and then: {}", self.ids.len(), self.first)
    }
}

impl std::error::Error for PostAllError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.first)
    }
}

/// What has passed through a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelMetrics {
    /// Requests posted: events, and the operations of suspended tasks.
    pub posted: u64,
    /// Requests that came back.
    pub completed: u64,
    /// Of these, cancelled.
    pub cancelled: u64,
    /// Requests under way: posted, not completed.
    pub in_flight: u64,
    /// Posted events whose handler has not returned yet: in flight, on the way to it, or in it.
    pub handlers_due: u64,
    /// How often a thread or task that waits in `get_event` was woken by another.
    pub wakeups: u64,
}
