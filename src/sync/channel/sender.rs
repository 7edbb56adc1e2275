//! [`Sender`].

use super::arms::{Kept, SendArm};
use super::core::Failed;
use super::{Delivered, Patience, SendError, SendTimeoutError, Shared, TrySendError};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// The end of a [channel](super) into which values are sent. There may be many: it can be cloned, and shared.
pub struct Sender<T>(Arc<Shared<T>>);

// (As std's and crossbeam's: nothing that a panic could leave half done.)
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    pub(super) fn first(shared: Arc<Shared<T>>) -> Sender<T> {
        Sender(shared)
    }

    /// Sends `value`, and waits until there is a place for it; with `bounded(0)`, until a receiver takes it: one that
    /// waits has it at once. A cancellation point.
    ///
    /// # Errors
    /// The channel is closed, or the call was cancelled or came under a deadline. The value is in the error.
    ///
    /// ```
    /// use event_channel::sync::channel::{self, SendError};
    /// use event_channel::time::{Duration, timeout};
    ///
    /// let (sender, receiver) = channel::bounded(1);
    /// sender.send("first").unwrap();
    /// let late = timeout(Duration::from_millis(5), || sender.send("second").map_err(std::io::Error::from));
    /// assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    /// drop(receiver);
    /// assert_eq!(sender.send("third"), Err(SendError::Closed("third")));
    /// ```
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.send_by(value, Patience::point(None)).map_err(|(value, why)| why.of_send(value))
    }

    /// As [`send`](Self::send), for at most `timeout`.
    ///
    /// # Errors
    /// As [`send`](Self::send); or there was no place so long.
    ///
    /// ```
    /// use event_channel::sync::channel::{self, SendTimeoutError};
    /// use event_channel::time::Duration;
    ///
    /// let (sender, _receiver) = channel::bounded(0);
    /// let late = sender.send_timeout("hello", Duration::from_millis(5));
    /// assert_eq!(late, Err(SendTimeoutError::Timeout("hello")));
    /// ```
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_by(value, Patience::point(Some(timeout))).map_err(|(value, why)| why.of_send_timeout(value))
    }

    /// Sends `value` if there is a place for it; with `bounded(0)`, if a receiver waits. Does not wait, and is no cancellation point.
    ///
    /// # Errors
    /// There is none; or the channel is closed. The value is in the error.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.core.try_send(value).map_err(|(value, failed)| match failed {
            Failed::Closed => TrySendError::Closed(value),
            _ => TrySendError::Full(value),
        })
    }

    #[inline]
    pub(in crate::sync) fn send_by(&self, value: T, patience: Patience) -> Result<(), (T, Delivered)> {
        match patience.check() {
            Ok(()) => self.0.core.send(value, patience).map_err(|(value, failed)| (value, failed.into())),
            Err(delivered) => Err((value, delivered)),
        }
    }

    pub(in crate::sync) fn as_arm<'a>(&'a self, value: Kept<'a, T>) -> SendArm<'a, T> {
        SendArm::new(&self.0.core, value)
    }

    /// Closes the channel: from now on nothing is sent, by anybody. Receivers receive what lies in it. False: it was closed before.
    ///
    /// ```
    /// use event_channel::sync::channel::{self, RecvError, SendError};
    ///
    /// let (sender, receiver) = channel::unbounded();
    /// sender.send(1).unwrap();
    /// assert!(sender.close());
    /// assert_eq!(sender.send(2), Err(SendError::Closed(2)));
    /// assert_eq!(receiver.recv(), Ok(1));
    /// assert_eq!(receiver.recv(), Err(RecvError::Closed));
    /// ```
    pub fn close(&self) -> bool {
        self.0.core.close()
    }

    /// Is the channel closed, or are all receivers gone?
    pub fn is_closed(&self) -> bool {
        self.0.core.is_closed()
    }

    /// How many values lie in it at this moment.
    pub fn len(&self) -> usize {
        self.0.core.len()
    }

    /// Does no value lie in it?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is there no place? With `bounded(0)` there never is one.
    pub fn is_full(&self) -> bool {
        self.0.core.is_full()
    }

    /// How many places it has. `None`: it is [`unbounded`](super::unbounded).
    pub fn capacity(&self) -> Option<usize> {
        self.0.core.capacity()
    }

    /// Are both ends of one channel?
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.0.core.name()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        let shared = self.0.clone();
        shared.senders.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Sender(shared)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.sender_goes();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("name", &self.name()).finish_non_exhaustive()
    }
}
