//! One value, from one task or plain thread to another: [`channel`].
//!
//! ```
//! use event_channel::sync::oneshot;
//! use event_channel::{run, task};
//!
//! run(|| {
//!     let (reply, answer) = oneshot::channel();
//!     let server = task::spawn(move || reply.send(6 * 7));
//!     assert_eq!(answer.recv(), Ok(42));
//!     server.join().unwrap().unwrap();
//! });
//! ```
//!
//! The calls that wait are cancellation points, and honour a surrounding [`timeout`](crate::time::timeout). A [`recv`](Receiver::recv) that was
//! cancelled, or whose time was over, has taken nothing, and can be made again.
//!
//! In a forked child it is closed if a thread of the parent was just sending or receiving.

pub(crate) mod core;

pub use super::channel::{RecvError, RecvTimeoutError, TryRecvError};

use self::core::{ClosedArm, Core, RecvArm};
use super::base::face::WaitKind;
use super::base::names::{self, Name};
use super::base::waiters::How;
use super::channel::{Delivered, Patience};
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

static RECV: WaitKind = WaitKind { name: "oneshot recv", cancel: None, describe: names::describe };
static CLOSED: WaitKind = WaitKind { name: "oneshot closed", cancel: None, describe: names::describe };

struct Shared<T> {
    core: Core<T>,
    name: Name,
}

/// The end of a [`channel`] that sends.
pub struct Sender<T>(Arc<Shared<T>>);

/// The end of a [`channel`] that receives.
pub struct Receiver<T>(Arc<Shared<T>>);

// (As those of other channels: nothing that a panic could leave half done.)
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

/// The two ends of a channel for one value. It takes one allocation.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    with(Name::none())
}

/// As [`channel`], with a name that a [dump](crate::dump) shows of those who wait.
pub fn channel_named<T>(name: &'static str) -> (Sender<T>, Receiver<T>) {
    with(Name::new(name))
}

fn with<T>(name: Name) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared { core: Core::new(), name });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Shared<T> {
    fn how(&self, kind: &'static WaitKind, Patience { deadline, point }: Patience) -> How {
        How { deadline, point, ..How::new(kind, self.name.detail(self)) }
    }
}

impl<T> Sender<T> {
    /// Sends `value`. Never waits. (If the receiver goes before it has received it, it is dropped with that.)
    ///
    /// # Errors
    /// The receiver is gone, or has [closed](Receiver::close) the channel; the value is in the error.
    ///
    /// ```
    /// use event_channel::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send("hello"), Err("hello"));
    /// ```
    pub fn send(self, value: T) -> Result<(), T> {
        self.0.core.send(value)
    }

    /// Is the receiver gone, or has it [closed](Receiver::close) the channel?
    pub fn is_closed(&self) -> bool {
        self.0.core.is_closed()
    }

    /// Waits until the receiver is gone, or has [closed](Receiver::close) the channel. A cancellation point.
    ///
    /// # Errors
    /// The task was [cancelled](crate::Cancelled), or the deadline of a surrounding [`timeout`](crate::time::timeout) has come.
    ///
    /// ```
    /// use event_channel::sync::oneshot;
    /// use event_channel::{run, task};
    ///
    /// run(|| {
    ///     let (sender, receiver) = oneshot::channel::<u32>();
    ///     let client = task::spawn(move || drop(receiver));
    ///     sender.closed()?; // nobody wants the answer any more
    ///     client.join().unwrap();
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn closed(&self) -> io::Result<()> {
        ec_pool::wait::checkpoint()?;
        let how = self.0.how(&CLOSED, Patience::point(None));
        self.0.core.wait_closed(how).map_err(|stop| stop.deliver())
    }

    pub(super) fn as_arm(&self) -> ClosedArm<'_, T> {
        ClosedArm::new(&self.0.core, &CLOSED, &self.0.name)
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.0.name.text()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.core.sender_goes();
    }
}

impl<T> Receiver<T> {
    /// Receives the value, and waits until there is one. A cancellation point.
    ///
    /// # Errors
    /// There is none, and none will come: the sender is gone, or the value has been received. Or the call was cancelled or came under a
    /// deadline: then it can be made again.
    ///
    /// ```
    /// use event_channel::sync::oneshot::{self, RecvError};
    /// use event_channel::time::{Duration, timeout};
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// let late = timeout(Duration::from_millis(5), || receiver.recv().map_err(std::io::Error::from));
    /// assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    /// sender.send(42).unwrap();
    /// assert_eq!(receiver.recv(), Ok(42));
    /// assert_eq!(receiver.recv(), Err(RecvError::Closed));
    /// ```
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_by(Patience::point(None)).map_err(Delivered::of_recv)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); or nothing came so long.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_by(Patience::point(Some(timeout))).map_err(Delivered::of_recv_timeout)
    }

    /// Receives the value if it is there. Does not wait, and is no cancellation point.
    ///
    /// # Errors
    /// It is not there; or none will come.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.0.core.take() {
            Some(taken) => taken.map_err(|_| TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// From now on nothing is sent. What has been sent can be received.
    ///
    /// ```
    /// use event_channel::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// receiver.close();
    /// assert_eq!(sender.send(1), Err(1));
    /// ```
    pub fn close(&self) {
        self.0.core.close();
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.0.name.text()
    }

    pub(super) fn as_arm(&self) -> RecvArm<'_, T> {
        RecvArm::new(&self.0.core, &RECV, &self.0.name)
    }

    fn recv_by(&self, patience: Patience) -> Result<T, Delivered> {
        ec_pool::wait::checkpoint()?;
        Ok(self.0.core.recv(self.0.how(&RECV, patience))?)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        drop(self.0.core.receiver_goes());
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("name", &self.name()).finish_non_exhaustive()
    }
}
