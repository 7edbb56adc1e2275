//! [`EventChannel`]: post, get, cancel, shut down.

#![allow(unsafe_code)]

use crate::blocker;
use crate::builder::{ChannelBuilder, ChannelMetrics, PostError};
use crate::driver::DriverInfo;
use crate::event::Event;
use crate::flight::Finished;
use crate::foreign::{self, quietly};
use crate::fork;
use crate::id::{EventId, OpId};
use crate::listed::{Listed, PassOver};
use crate::lock::MutexGuard;
use crate::port::{Port, Wait};
use crate::request::Request;
use crate::waiting::{State, Waiting};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long a dropped channel waits for the kernel to give buffers back.
const LONGEST: Duration = Duration::from_secs(1);

/// The channel: requests go in through [`post`](Self::post), and each comes back once, completed, from
/// [`get_event`](Self::get_event). Cheap to clone; all clones are the same channel.
///
/// Any number of threads may post and get at once. Of those that get, one at a time drives the operating
/// system's side; a pool that serves the channel ([`serve`](Self::serve)) does so in their stead.
///
/// ```
/// use ec_channel::{EventChannel, Request};
/// let (a, b) = std::os::unix::net::UnixStream::pair()?;
/// let channel = EventChannel::new()?;
/// channel.post(Request::recv(a, Vec::with_capacity(64)).token(1))?;
/// channel.post(Request::send(b, b"hello".to_vec()).token(2))?;
/// for _ in 0..2 {
///     let event = channel.get_event()?;
///     assert_eq!(event.result()?, 5);
///     assert_eq!(event.buffer(), b"hello");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct EventChannel(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) ports: Box<[Port]>,
    info: DriverInfo,
    /// No other channel of the process has it.
    number: u32,
    pub(crate) waiting: Waiting,
    shut_down: AtomicBool,
    /// Posted events that nobody has got yet.
    pending: AtomicUsize,
    /// Posted events whose handler has not returned yet.
    handlers_due: AtomicUsize,
    /// Requests that were complete as they were posted, for ids and counts.
    immediate: AtomicU64,
    next_port: AtomicUsize,
    /// Tasks have waited here.
    pub(crate) listed: Listed,
}

pub(crate) fn shut_down_error() -> io::Error {
    io::Error::other("the event channel was shut down")
}

pub(crate) fn forked_error() -> io::Error {
    let why = "this is a forked child, and the event channel belongs to the parent process: it does not survive fork()";
    io::Error::new(io::ErrorKind::Unsupported, why)
}

impl EventChannel {
    pub(crate) fn with(ports: Box<[Port]>, info: DriverInfo) -> Self {
        static NUMBERS: AtomicU32 = AtomicU32::new(1);
        Self(Arc::new(Inner {
            ports,
            info,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            waiting: Waiting::default(),
            shut_down: AtomicBool::new(false),
            pending: AtomicUsize::new(0),
            handlers_due: AtomicUsize::new(0),
            immediate: AtomicU64::new(0),
            next_port: AtomicUsize::new(0),
            listed: Listed::default(),
        }))
    }

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

    /// The number of ports.
    pub fn ports(&self) -> usize {
        self.0.ports.len()
    }

    pub(crate) fn ports_ref(&self) -> &[Port] {
        &self.0.ports
    }

    /// Hands a request over and returns its id at once. A completed [`Event`] is a request too: it is posted again
    /// as it is, without allocating.
    ///
    /// # Errors
    /// The channel was shut down; the request comes back inside the error. An error of the operation itself
    /// is found in its event.
    pub fn post(&self, request: impl Into<Request>) -> Result<EventId, PostError> {
        let mut request = request.into();
        if fork::is_child() {
            return Err(PostError { request, error: forked_error() });
        }
        // The program's `AsFd` is called here, before anything is counted: it may panic, block, and call this channel.
        let prepare = || request.prepare(Instant::now(), self.0.number);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(prepare)) {
            // What goes with the request may panic, too: not while this unwinds.
            request.0.discard();
            resume_unwind(panic);
        }
        if fork::is_child() {
            // (There.)
            return Err(PostError { request, error: forked_error() });
        }
        // Before the look at the state: a shutdown that this does not see waits for it.
        self.0.pending.fetch_add(1, Ordering::SeqCst);
        if request.0.has_handler() {
            self.0.handlers_due.fetch_add(1, Ordering::SeqCst);
        }
        if self.0.shut_down.load(Ordering::SeqCst) {
            return Err(self.refuse(request, shut_down_error()));
        }
        if request.is_immediate() {
            return Ok(self.post_immediate(request));
        }
        let port = self.port_for_post();
        // SAFETY: the operation lies in a box of its own that nobody else can reach; it holds its descriptor open,
        // its wake function does nothing, and the port gives the box back as an event.
        let posted = unsafe { self.0.ports[port].submit(request.into_op()) };
        let id = match posted {
            Ok(id) => id,
            Err(op) => {
                let what = "too many requests are in flight on one port of the event channel";
                // SAFETY: the port has not taken it, so it is the box that was made of the request just now.
                let request = unsafe { Request::from_op(op) };
                return Err(self.refuse(request, io::Error::new(io::ErrorKind::QuotaExceeded, what)));
            }
        };
        // A shutdown since the check above may have cancelled what was there without seeing this one.
        if self.0.shut_down.load(Ordering::SeqCst) {
            self.0.ports[port].cancel(id, true);
        }
        // A pool that has gone since the port was chosen leaves it to the getters, who may sleep in the first.
        if port != 0 && !self.0.waiting.state.lock().served {
            self.0.ports[0].waker().call();
        }
        Ok(EventId::new(id, self.0.number))
    }

    fn refuse(&self, request: Request, error: io::Error) -> PostError {
        self.taken(1);
        if request.0.has_handler() {
            self.handler_is_over();
        }
        // For a moment it looked as if one more were to come: whoever looked just then waits for it.
        self.release(self.0.waiting.state.lock());
        PostError { request, error }
    }

    fn post_immediate(&self, request: Request) -> EventId {
        let op = OpId::slotless(self.0.immediate.fetch_add(1, Ordering::Relaxed));
        let id = EventId::new(op, self.0.number);
        let all = request.wakes_all();
        let event = request.into_event(id);
        let mut copies = Vec::new();
        // One for each who waits; made without the lock.
        let (mut s, wanted) = loop {
            let s = self.0.waiting.lock_for_events(copies.len() + 1);
            let wanted = if all { s.waiting().saturating_sub(1) } else { 0 };
            if copies.len() >= wanted {
                break (s, wanted);
            }
            drop(s);
            copies.resize_with(wanted, || event.copy());
        };
        self.0.pending.fetch_add(wanted, Ordering::SeqCst);
        self.0.immediate.fetch_add(wanted as u64, Ordering::Relaxed);
        s.queue.extend(copies.drain(..wanted));
        s.queue.push_back(event);
        let leader = all && s.leader().is_some();
        self.release(s);
        if leader {
            self.0.ports[0].waker().call();
        }
        id
    }

    /// See [`Inner::release`].
    pub(crate) fn release(&self, s: MutexGuard<'_, State>) {
        self.0.release(s);
    }

    /// Before the caller waits, if it is a task: see [`tasks_were_left`](crate::tasks_were_left).
    pub(crate) fn list_for_tasks(&self) {
        if !self.0.listed.is_listed() && blocker::current().is_some() {
            let weak: Weak<Inner> = Arc::downgrade(&self.0);
            self.0.listed.enter(weak);
        }
    }

    fn port_for_post(&self) -> usize {
        if self.0.ports.len() == 1 || !self.0.waiting.state.lock().served {
            return 0;
        }
        let home = blocker::installed().and_then(|b| b.home_port());
        home.unwrap_or_else(|| self.0.next_port.fetch_add(1, Ordering::Relaxed)) % self.0.ports.len()
    }

    /// Waits until some request is complete and returns it, with its data, its buffers and its error inside. Blocks
    /// the calling thread; a task is suspended.
    ///
    /// # Errors
    /// The channel was shut down and everything posted has come back, or the operating system fails in a way that
    /// is not one request's. Called by what this very thread calls while it drives the channel (an allocator), [`Deadlock`](io::ErrorKind::Deadlock). In a task, also the task's cancel or the end of a deadline around the call; no event
    /// is lost to either.
    pub fn get_event(&self) -> io::Result<Event> {
        let mut one = Vec::with_capacity(1);
        loop {
            self.next(&mut one, 1, Wait::Forever)?;
            if let Some(event) = one.pop() {
                return Ok(event);
            }
        }
    }

    /// As [`get_event`](Self::get_event), but returns `None` when nothing is complete right now.
    pub fn try_get_event(&self) -> io::Result<Option<Event>> {
        let mut one = Vec::with_capacity(1);
        self.next(&mut one, 1, Wait::No)?;
        Ok(one.pop())
    }

    /// As [`get_event`](Self::get_event), but returns `None` after `timeout`.
    pub fn get_event_timeout(&self, timeout: Duration) -> io::Result<Option<Event>> {
        let mut one = Vec::with_capacity(1);
        self.next(&mut one, 1, Wait::For(timeout))?;
        Ok(one.pop())
    }

    /// Waits as [`get_event`](Self::get_event) (at most `timeout`; `None`: for ever) and appends up to `max` completed
    /// events to `out`. Returns how many.
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

    pub(crate) fn taken(&self, n: usize) {
        self.0.pending.fetch_sub(n, Ordering::SeqCst);
    }

    /// Of a posted event, which is not waited for any more.
    pub(crate) fn handler_is_over(&self) {
        self.0.handlers_due.fetch_sub(1, Ordering::SeqCst);
    }

    /// See [`Inner::ended`].
    pub(crate) fn ended(&self) -> bool {
        self.0.ended()
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

    /// Whether there are posted events that nobody has got: in flight, or ready.
    #[doc(hidden)]
    pub fn holds_events(&self) -> bool {
        self.0.pending.load(Ordering::SeqCst) > 0
    }

    /// What has passed through the channel so far.
    pub fn metrics(&self) -> ChannelMetrics {
        if fork::is_child() {
            return ChannelMetrics::default();
        }
        let immediate = self.0.immediate.load(Ordering::Relaxed);
        let wakeups = self.0.waiting.state.lock().calls;
        let mut m = ChannelMetrics { posted: immediate, completed: immediate, wakeups, ..Default::default() };
        for port in &self.0.ports {
            let c = port.counts();
            m.posted += c.posted;
            m.completed += c.completed;
            m.cancelled += c.cancelled;
        }
        m.in_flight = m.posted - m.completed;
        m.handlers_due = self.0.handlers_due.load(Ordering::SeqCst) as u64;
        m
    }
}

impl Inner {
    /// Releases the lock and calls those for whom there is something to do: everybody, once the channel has ended. Each without the
    /// lock.
    pub(crate) fn release(&self, mut s: MutexGuard<'_, State>) {
        let ended = self.ended();
        let mut callee = s.callee(ended);
        // With nobody else to call, the leader must come out of the kernel.
        let leader = (ended || (callee.is_none() && !s.queue.is_empty())) && s.leader().is_some();
        let mut more = s.calls_more(ended);
        drop(s);
        while let Some(follower) = callee.take() {
            follower.call();
            if more {
                let mut s = self.waiting.state.lock();
                callee = s.callee(ended);
                more = s.calls_more(ended);
            }
        }
        if leader {
            self.ports[0].waker().call();
        }
    }

    /// Shut down, and nothing left to come.
    fn ended(&self) -> bool {
        self.shut_down.load(Ordering::SeqCst) && self.pending.load(Ordering::SeqCst) == 0
    }
}

impl PassOver for Inner {
    fn pass_over_gone(&self) {
        let mut looked_at = None;
        let mut s = self.waiting.state.lock();
        while let Some(gone) = s.take_gone(&mut looked_at) {
            drop(s);
            drop(gone);
            s = self.waiting.state.lock();
        }
        self.release(s);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        // (Nobody else is here any more.)
        let ready = std::mem::take(&mut self.waiting.state.lock().queue);
        ready.into_iter().for_each(|event| event.0.discard());
        let mut out = Vec::new();
        for port in &self.ports {
            let closed = port.close(LONGEST, &mut out);
            for it in out.drain(..) {
                match it {
                    Finished::Raw(raw) => {
                        foreign::call(|| raw.deliver());
                    }
                    Finished::Event(event) => event.0.discard(),
                }
            }
            if !closed {
                quietly!(
                    warn,
                    "an event channel was dropped with requests that the kernel does not give back; their buffers are leaked"
                );
            }
        }
    }
}

impl fmt::Debug for EventChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventChannel")
            .field("driver", &self.0.info)
            .field("ports", &self.ports())
            .finish_non_exhaustive()
    }
}
