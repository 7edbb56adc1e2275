//! What all clones of a channel share: its ports, what is ready, and who waits.

#![allow(unsafe_code)]

use crate::blocker;
use crate::drivers::DriverInfo;
use crate::events::event::Event;
use crate::events::stream::Home;
use crate::foreign::quietly;
use crate::fork;
use crate::getting::internal::{Hook, InternalError};
use crate::getting::listed::{Listed, PassOver};
use crate::getting::seats::Seat;
use crate::getting::user_data::UserData;
use crate::getting::waiting::{State, Waiting};
use crate::id::OpId;
use crate::lock::MutexGuard;
use crate::ports::Port;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// How long a dropped channel waits for the kernel to give buffers back, and for helpers to come back.
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
///
/// # When it is dropped
/// With the last clone the channel goes, wherever that is, in the closure of its own [`work`](crate::Request::work), say, and all that is in
/// it. What is ready and was not got is dropped: its buffers and contexts, and its
/// descriptors, if nobody else has them. What is in flight is cancelled, waited for, and dropped; no handler is called. (To get what was
/// posted first, call [`shutdown`](Self::shutdown), and get until there is an error.)
///
/// The drop may block for a second (for each port; a channel that is not a pool's has one). As a rule all comes back at once. But a helper
/// that makes a call cannot always be stopped ([`work`](crate::Request::work), a file on a slow disk): what it still has at work after that its
/// thread drops, as soon as it is through with it. Nor can the kernel while it sends [without a copy](crate::Request::send_zero_copy): what it
/// has not given back by then stays in memory for ever, since it is still in use; a warning is logged. A handler that holds a clone of the channel keeps it as long as its request is in it. (It is given the channel when it is
/// called.)
///
/// ```
/// # use ec_channel::{EventChannel, Request};
/// # use std::{io::Read, os::unix::net::UnixStream};
/// let channel = EventChannel::new()?;
/// let (near, mut far) = UnixStream::pair()?;
/// channel.post(Request::recv(near, Vec::with_capacity(16)))?;
/// drop(channel); // with the request, and its socket
/// assert_eq!(far.read(&mut [0])?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct EventChannel(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) ports: Box<[Port]>,
    pub(crate) info: DriverInfo,
    /// No other channel of the process has it.
    pub(crate) number: u32,
    /// (Not dropped in a forked child.)
    pub(crate) waiting: ManuallyDrop<Waiting>,
    pub(crate) shut_down: AtomicBool,
    /// Posted events whose handler has not returned yet.
    pub(crate) handlers_due: AtomicUsize,
    pub(crate) next_port: AtomicUsize,
    /// Tasks have waited here.
    pub(crate) listed: Listed,
    /// A driver has failed: the channel is over. (Set before `shut_down` is.)
    pub(crate) broken: OnceLock<InternalError>,
    pub(crate) hook: Hook,
    /// (Dropped last, when the ports have gone.)
    pub(crate) user_data: UserData,
}

pub(crate) fn forked_error() -> io::Error {
    let why = "this is a forked child, and the event channel belongs to the parent process: it does not survive fork()";
    io::Error::new(io::ErrorKind::Unsupported, why)
}

impl EventChannel {
    pub(crate) fn with(ports: Box<[Port]>, info: DriverInfo, hook: Hook, user_data: UserData) -> Self {
        static NUMBERS: AtomicU32 = AtomicU32::new(1);
        Self(Arc::new(Shared {
            ports,
            info,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            waiting: ManuallyDrop::default(),
            shut_down: AtomicBool::new(false),
            handlers_due: AtomicUsize::new(0),
            next_port: AtomicUsize::new(0),
            listed: Listed::default(),
            broken: OnceLock::new(),
            hook,
            user_data,
        }))
    }

    pub(crate) fn ports_ref(&self) -> &[Port] {
        &self.0.ports
    }

    /// See [`Shared::release`].
    pub(crate) fn release(&self, s: MutexGuard<'_, State>) {
        self.0.release(s);
    }

    /// Before the caller waits, if it is a task: see [`tasks_were_left`](crate::tasks_were_left).
    pub(crate) fn list_for_tasks(&self) {
        if !self.0.listed.is_listed() && blocker::current().is_some() {
            let weak: Weak<Shared> = Arc::downgrade(&self.0);
            self.0.listed.enter(weak);
        }
    }

    /// How many events are complete, and nobody has taken them.
    pub(crate) fn ready(&self) -> usize {
        self.0.waiting.len()
    }

    pub(crate) fn taken(&self, n: usize) {
        self.0.waiting.tally.taken(n);
    }

    /// It has come out of a port. (Before anybody sees it.)
    #[inline]
    pub(crate) fn has_come(&self, event: &Event) {
        if event.0.is_item() {
            self.0.waiting.tally.posted();
            if event.0.has_handler() {
                self.0.handlers_due.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Of a posted event, which is not waited for any more.
    pub(crate) fn handler_is_over(&self) {
        self.0.handlers_due.fetch_sub(1, Ordering::SeqCst);
    }

    /// Why nothing is posted any more, or got.
    #[doc(hidden)]
    pub fn end_error(&self) -> io::Error {
        match self.0.broken.get() {
            Some(error) => error.clone().into(),
            None => io::Error::other("the event channel was shut down"),
        }
    }

    /// See [`Shared::ended`].
    pub(crate) fn ended(&self) -> bool {
        self.0.ended()
    }
}

impl Shared {
    /// Somebody is about to sleep, in this seat, as the state says now. False: there is something to do.
    pub(crate) fn may_sleep(&self, s: &State, seat: &Seat<'_>) -> bool {
        self.waiting.tell_who_sleeps(s);
        self.waiting.is_empty() && !seat.has_some() && !self.ended()
    }

    /// Something was made ready.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.waiting.somebody_sleeps() {
            self.release(self.waiting.state.lock());
        }
    }

    /// Something was laid on the seats.
    pub(crate) fn wake_everybody(&self) {
        self.release_to(self.waiting.state.lock(), true);
    }

    /// Releases the lock and calls those for whom there is something to do: everybody, once the channel has ended. Each without the
    /// lock.
    pub(crate) fn release(&self, s: MutexGuard<'_, State>) {
        let everybody = self.ended();
        self.release_to(s, everybody);
    }

    fn release_to(&self, mut s: MutexGuard<'_, State>, everybody: bool) {
        let ready = self.waiting.len();
        // If there are not enough others, the leader must come out of the kernel. (As long as something lies on seats it is called, too:
        // another one may have heard the call that was for its seat, one that served or was taken for gone.)
        let others_do = ready <= s.following() && !self.waiting.seats.any_laid();
        let leader = (everybody || !others_do) && s.leader().is_some();
        let mut callee = s.callee(ready, everybody);
        let mut more = s.calls_more(ready, everybody);
        self.waiting.tell_who_sleeps(&s);
        drop(s);
        while let Some(follower) = callee.take() {
            follower.call();
            if more {
                let mut s = self.waiting.state.lock();
                let ready = self.waiting.len();
                callee = s.callee(ready, everybody);
                more = s.calls_more(ready, everybody);
                self.waiting.tell_who_sleeps(&s);
            }
        }
        if leader && self.ports[0].waker().call() {
            self.waiting.rung.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Shut down, and nothing left to come that anybody waits for.
    fn ended(&self) -> bool {
        self.shut_down.load(Ordering::SeqCst) && (self.broken.get().is_some() || self.waiting.tally.is_even())
    }
}

impl PassOver for Shared {
    fn pass_over_gone(&self) {
        let mut looked_at = None;
        let mut s = self.waiting.state.lock();
        while let Some(gone) = s.take_gone(&mut looked_at) {
            drop(s);
            drop(gone);
            s = self.waiting.state.lock();
        }
        drop(s);
        // What was for one that is gone goes with it.
        while let Some(laid) = self.waiting.seats.clear_gone() {
            if let Some(event) = laid {
                self.waiting.tally.taken(1);
                event.0.discard();
            }
        }
        self.release(self.waiting.state.lock());
    }
}

impl Home for Shared {
    fn resume(&self, id: OpId) {
        if let Some(port) = self.ports.get(id.port()) {
            port.resume(id);
        }
    }
}

impl Shared {
    /// Lets go of what is ready or in flight, which nobody will get. False: something of the program's has forked as it went, and this is
    /// the child, where the rest is its parent's.
    fn let_go(&mut self) -> bool {
        // (Nobody else is here any more.)
        while let Some(event) = self.waiting.pop().or_else(|| self.waiting.pop_call()) {
            event.0.discard();
            if fork::is_child() {
                return false;
            }
        }
        for port in &self.ports {
            let mut out = Vec::new();
            let kept = port.close(LONGEST, &mut out);
            let mut out = out.into_iter();
            while let Some(it) = out.next() {
                it.let_go();
                if fork::is_child() {
                    std::mem::forget(out);
                    return false;
                }
            }
            if kept > 0 {
                quietly!(
                    warn,
                    "an event channel was dropped with requests that the kernel does not give back; their buffers are leaked"
                );
            }
            if fork::is_child() {
                return false;
            }
        }
        true
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // In a child what the program has put in is its parent's. And a thread that is not here may have been half-way through a push.
        if fork::is_child() || !self.let_go() {
            std::mem::forget(std::mem::take(&mut self.hook));
            std::mem::forget(std::mem::take(&mut self.user_data));
            return;
        }
        // SAFETY: it is not used after.
        unsafe { ManuallyDrop::drop(&mut self.waiting) };
        drop(std::mem::take(&mut self.hook));
        if fork::is_child() {
            std::mem::forget(std::mem::take(&mut self.user_data));
        }
    }
}
