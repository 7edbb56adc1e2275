//! As [`std::sync::mpsc`]: names, types of errors and meaning are the same. A task that waits is suspended, a plain thread is blocked.
//!
//! A program for threads only changes its `use`:
//!
//! ```
//! use event_channel::sync::mpsc; // was: use std::sync::mpsc;
//! use event_channel::{run, task};
//!
//! run(|| {
//!     let (sender, receiver) = mpsc::channel();
//!     for id in 0..3 {
//!         let sender = sender.clone();
//!         task::spawn(move || sender.send(id).unwrap());
//!     }
//!     drop(sender);
//!     let mut all: Vec<i32> = receiver.iter().collect();
//!     all.sort();
//!     assert_eq!(all, [0, 1, 2]);
//! });
//! ```
//!
//! **Cancel.** The calls have std's types and are no cancellation points. Those that wait have twins that are: [`Receiver::recv_cancellable`],
//! [`Receiver::recv_timeout_cancellable`], [`SyncSender::send_cancellable`]. [`channel`](crate::sync::channel) has more: many
//! receivers, `close`, errors that say of a cancel.

use super::channel::arms::{Kept, RecvArm, SendArm};
use super::channel::{self as many, Delivered, Patience, loops_over_receiver};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

#[doc(no_inline)]
pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

/// As [`std::sync::mpsc::Sender`]: to send never waits.
pub struct Sender<T>(many::Sender<T>);

/// As [`std::sync::mpsc::SyncSender`]: to send waits for a place.
pub struct SyncSender<T>(many::Sender<T>);

/// As [`std::sync::mpsc::Receiver`].
///
/// It is for one at a time, as std's:
///
/// ```compile_fail,E0277
/// fn is_shared<T: Sync>() {}
/// is_shared::<event_channel::sync::mpsc::Receiver<u32>>();
/// ```
pub struct Receiver<T>(many::Receiver<T>, PhantomData<Cell<()>>);

// (As std's.)
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

/// A channel with as many places as the memory; as [`std::sync::mpsc::channel`].
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = many::unbounded();
    (Sender(sender), Receiver(receiver, PhantomData))
}

/// As [`channel`], with a name that a [dump](crate::dump) shows of those who wait.
pub fn channel_named<T>(name: &'static str) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = many::unbounded_named(name);
    (Sender(sender), Receiver(receiver, PhantomData))
}

/// A channel with places for so many values; as [`std::sync::mpsc::sync_channel`]. With 0 each value passes from the sender to the receiver
/// while both are there. Memory for all places is taken at once. Where the allocator has none the process ends, as with std's collections.
///
/// # Panics
/// If so many are more than any memory holds.
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (sender, receiver) = many::bounded(bound);
    (SyncSender(sender), Receiver(receiver, PhantomData))
}

/// As [`sync_channel`], with a name that a [dump](crate::dump) shows of those who wait.
///
/// # Panics
/// As there.
pub fn sync_channel_named<T>(bound: usize, name: &'static str) -> (SyncSender<T>, Receiver<T>) {
    let (sender, receiver) = many::bounded_named(bound, name);
    (SyncSender(sender), Receiver(receiver, PhantomData))
}

impl<T> Sender<T> {
    pub(super) fn as_arm<'a>(&'a self, value: Kept<'a, T>) -> SendArm<'a, T> {
        self.0.as_arm(value)
    }

    /// Sends `value`. Never waits, so it is no cancellation point.
    ///
    /// # Errors
    /// The receiver is gone; the value is in the error.
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send_by(value, Patience::no_point(None)).map_err(|(value, _)| SendError(value))
    }
}

impl<T> SyncSender<T> {
    pub(super) fn as_arm<'a>(&'a self, value: Kept<'a, T>) -> SendArm<'a, T> {
        self.0.as_arm(value)
    }

    /// Sends `value`, and waits until there is a place for it; with a bound of 0, until the receiver has taken it. Not a cancellation point.
    ///
    /// # Errors
    /// The receiver is gone; the value is in the error.
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send_by(value, Patience::no_point(None)).map_err(|(value, _)| SendError(value))
    }

    /// As [`send`](Self::send), and a cancellation point.
    ///
    /// # Errors
    /// Of the outer result: the task was [cancelled](crate::Cancelled), or the deadline of a surrounding
    /// [`timeout`](crate::time::timeout) has come. **The value was not sent, and has been dropped**: an [`io::Error`] cannot hold it. Who wants it
    /// back uses a [`channel::Sender`](crate::sync::channel::Sender::send). Of the inner one: as [`send`](Self::send).
    ///
    /// ```
    /// use event_channel::sync::mpsc;
    /// use event_channel::time::{Duration, timeout};
    ///
    /// let (sender, receiver) = mpsc::sync_channel(1);
    /// sender.send(1).unwrap();
    /// let late = timeout(Duration::from_millis(5), || sender.send_cancellable(2));
    /// assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn send_cancellable(&self, value: T) -> io::Result<Result<(), SendError<T>>> {
        match self.0.send(value) {
            Ok(()) => Ok(Ok(())),
            Err(many::SendError::Closed(value)) => Ok(Err(SendError(value))),
            Err(stopped) => Err(stopped.into()),
        }
    }

    /// Sends `value` if there is a place for it; with a bound of 0, if the receiver waits. Does not wait.
    ///
    /// # Errors
    /// There is none, or the receiver is gone; the value is in the error.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(value).map_err(|error| match error {
            many::TrySendError::Full(value) => TrySendError::Full(value),
            many::TrySendError::Closed(value) => TrySendError::Disconnected(value),
        })
    }
}

impl<T> Receiver<T> {
    pub(super) fn as_arm(&self) -> RecvArm<'_, T> {
        self.0.as_arm()
    }

    /// Receives the next value, and waits until there is one. Not a cancellation point.
    ///
    /// # Errors
    /// All senders are gone, and nothing is left.
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.0.recv_by(Patience::no_point(None)).map_err(|_| RecvError)
    }

    /// As [`recv`](Self::recv), and a cancellation point.
    ///
    /// # Errors
    /// Of the outer result: the task was [cancelled](crate::Cancelled), or the deadline of a surrounding
    /// [`timeout`](crate::time::timeout) has come. No value was taken then. Of the inner one: as [`recv`](Self::recv).
    ///
    /// ```
    /// use event_channel::sync::mpsc;
    /// use event_channel::time::{Duration, timeout};
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let late = timeout(Duration::from_millis(5), || receiver.recv_cancellable());
    /// assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.recv_cancellable()?, Ok(1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_cancellable(&self) -> io::Result<Result<T, RecvError>> {
        match self.0.recv() {
            Ok(value) => Ok(Ok(value)),
            Err(many::RecvError::Closed) => Ok(Err(RecvError)),
            Err(stopped) => Err(stopped.into()),
        }
    }

    /// As [`recv`](Self::recv), for at most `timeout`. Not a cancellation point.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); or nothing came so long.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.0.recv_by(Patience::no_point(Some(timeout))).map_err(|why| match why {
            Delivered::Late => RecvTimeoutError::Timeout,
            _ => RecvTimeoutError::Disconnected,
        })
    }

    /// As [`recv_timeout`](Self::recv_timeout), and a cancellation point.
    ///
    /// # Errors
    /// Of the outer result: as [`recv_cancellable`](Self::recv_cancellable). Of the inner one: as [`recv_timeout`](Self::recv_timeout).
    pub fn recv_timeout_cancellable(&self, timeout: Duration) -> io::Result<Result<T, RecvTimeoutError>> {
        match self.0.recv_timeout(timeout) {
            Ok(value) => Ok(Ok(value)),
            Err(many::RecvTimeoutError::Timeout) => Ok(Err(RecvTimeoutError::Timeout)),
            Err(many::RecvTimeoutError::Closed) => Ok(Err(RecvTimeoutError::Disconnected)),
            Err(stopped) => Err(stopped.into()),
        }
    }

    /// Receives a value if one is there; with a bound of 0, if a sender waits. Does not wait.
    ///
    /// # Errors
    /// Nothing is there; or, besides, all senders are gone.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv().map_err(|error| match error {
            many::TryRecvError::Empty => TryRecvError::Empty,
            many::TryRecvError::Closed => TryRecvError::Disconnected,
        })
    }

    /// Receives, in a loop, until all senders are gone and nothing is left.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// Receives, in a loop, what is there, and does not wait.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }
}

loops_over_receiver!();

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender(self.0.clone())
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> SyncSender<T> {
        SyncSender(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
