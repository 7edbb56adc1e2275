//! Making a channel, and the errors and counts of one.

use crate::drivers::{self, Driver};
use crate::events::request::Request;
use crate::fork;
use crate::getting::internal::{Hook, InternalError};
use crate::getting::shared::EventChannel;
use crate::getting::user_data::UserData;
use crate::id::{EventId, MAX_PORTS};
use crate::ports::Port;
use std::any::Any;
use std::fmt;
use std::io;

/// Makes an [`EventChannel`] with other than the default settings.
#[derive(Clone, Debug, Default)]
pub struct ChannelBuilder {
    driver: Option<Driver>,
    ports: Option<usize>,
    hook: Hook,
    user_data: UserData,
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

    /// Anything of the program's own, for whoever has the channel, a handler for one: see [`EventChannel::user_data`].
    ///
    /// It is dropped once: with the last clone of the channel, on whichever thread that goes, after the last event that nobody has got, with
    /// what is in that, and after the channel's descriptors were closed. (An event that somebody has got may live longer, or one that a helper thread is at.) If
    /// [`build`](Self::build) fails it is dropped there. A clone of the builder has the same data, and keeps it, too. A panic in its
    /// destructor is caught and logged.
    ///
    /// Data that holds a clone of the channel keeps it, and itself, for ever, unless somebody takes that out again. In a forked child, where
    /// the channel does nothing, the data can still be looked at. It is not dropped there: it is the parent's.
    pub fn user_data(mut self, data: impl Any + Send + Sync) -> Self {
        self.user_data = UserData::new(data);
        self
    }

    /// Is told, once, if the channel cannot go on: the driver of a port fails for good, since somebody has closed its descriptor or
    /// forbidden its calls.
    ///
    /// By then the channel is shut down, as far as that goes. Posts are refused. What the driver had has come back, or comes with the next
    /// passes, with that errno: events from `get_event`, operations to their tasks. What is submitted to that port afterwards does, too;
    /// timers of tasks go on. On io_uring the kernel may still write to the buffers of requests that it has in its hands: these come back
    /// if it gives them back, and else are left behind, like the ring. Then `get_event` returns the [`InternalError`], each time.
    ///
    /// Without a hook: where getters drive the channel, they hear of it, and that is all. Where a pool does (a runtime's channel), those
    /// who wait would wait for ever, and nobody would hear of it: a message goes to stderr, and the process is aborted. The
    /// same happens, with a hook too, if somebody sleeps in a driver that was closed under him, and cannot be woken.
    ///
    /// It is called under no lock: where getters drive, by one of them; where a pool does, on a thread of its own. A panic in it is caught
    /// and logged. (What fails for one request is that one's error, and never comes here.)
    ///
    /// ```
    /// use ec_channel::EventChannel;
    /// let channel = EventChannel::builder()
    ///     .on_internal_error(|error| eprintln!("{error}; this service goes on without it"))
    ///     .build()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_internal_error(mut self, told: impl Fn(&InternalError) + Send + Sync + 'static) -> Self {
        self.hook = Hook::new(told);
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
        Ok(EventChannel::with(ports, info, self.hook, self.user_data))
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
    pub(crate) rest: Vec<Request>,
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

    /// The first that was not, with the reason, and what comes behind it.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # let channel = EventChannel::new()?;
    /// channel.shutdown();
    /// let error = channel.post_all((0..3).map(|n| Request::notification().token(n))).unwrap_err();
    /// let (first, rest) = error.into_parts();
    /// assert!(first.to_string().contains("shut down") && rest.len() == 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn into_parts(self) -> (PostError, Vec<Request>) {
        (self.first, self.rest)
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
    /// Operations that came to a helper thread and back, since the driver cannot carry them out itself.
    pub helped: u64,
    /// Items of streams that came. (A stream is one request, posted, and completed with its last event.)
    pub items: u64,
    /// Requests under way: posted, not completed. Those that are complete, and that nobody has fetched, are not among them, but
    /// [`ready`](Self::ready).
    pub in_flight: u64,
    /// Complete, and not fetched yet: events for `get_event` (items of streams, and copies of what [wakes all](crate::Request::wake_all),
    /// among them), and those whose handlers a getter is to call. All has been done if this, `in_flight` and `handlers_due` are 0.
    pub ready: u64,
    /// Posted events whose handler has not returned yet: in flight, on the way to it, or in it.
    pub handlers_due: u64,
    /// How often a thread or task that waits in `get_event` was woken by another for an event, or to wait in the operating system. (The
    /// one that waits there wakes up by itself for what completes there, and is called to take in what is posted: that is not counted.)
    pub wakeups: u64,
    /// The most that others had woken for one event, and that were on their way at the same time (those who are called for other events
    /// that are ready are not counted; nor are those who leave a channel that has ended). It is 2 at most, however many wait: one gets the
    /// event, one goes to wait in the operating system. More would be a thundering herd. A notification that
    /// [wakes all](crate::Request::wake_all) is an event for each.
    pub most_woken: u64,
}
