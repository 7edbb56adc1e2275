//! [`Receiver`].

use super::arms::RecvArm;
use super::core::Failed;
use super::{Delivered, Iter, Patience, RecvError, RecvTimeoutError, Shared, TryIter, TryRecvError};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// The end of a [channel](super) from which values are received. There may be many: it can be cloned, and shared. Each value goes to one of
/// them.
pub struct Receiver<T>(Arc<Shared<T>>);

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(super) fn first(shared: Arc<Shared<T>>) -> Receiver<T> {
        Receiver(shared)
    }

    /// Receives the next value, and waits until there is one. A cancellation point.
    ///
    /// # Errors
    /// The channel is closed and nothing is left in it; or the call was cancelled or came under a deadline, and took no value.
    ///
    /// ```
    /// use event_channel::sync::channel::{self, RecvError};
    /// use event_channel::{run, task};
    ///
    /// run(|| {
    ///     let (sender, receiver) = channel::unbounded::<u32>();
    ///     let theirs = receiver.clone();
    ///     let waits = task::spawn(move || theirs.recv());
    ///     waits.cancel();
    ///     assert_eq!(waits.join().unwrap(), Err(RecvError::Cancelled));
    ///     sender.send(1).unwrap();
    ///     assert_eq!(receiver.recv(), Ok(1));
    /// });
    /// ```
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_by(Patience::point(None)).map_err(Delivered::of_recv)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); or nothing came so long.
    ///
    /// ```
    /// use event_channel::sync::channel::{self, RecvTimeoutError};
    /// use event_channel::time::Duration;
    ///
    /// let (_sender, receiver) = channel::unbounded::<u32>();
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(5)), Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_by(Patience::point(Some(timeout))).map_err(Delivered::of_recv_timeout)
    }

    /// Receives a value if one is there; with `bounded(0)`, if a sender waits. Does not wait, and is no cancellation point.
    ///
    /// # Errors
    /// Nothing is there; or, besides, the channel is closed.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.core.try_recv().map_err(|failed| match failed {
            Failed::Closed => TryRecvError::Closed,
            _ => TryRecvError::Empty,
        })
    }

    #[inline]
    pub(in crate::sync) fn recv_by(&self, patience: Patience) -> Result<T, Delivered> {
        patience.check()?;
        Ok(self.0.core.recv(patience)?)
    }

    pub(in crate::sync) fn as_arm(&self) -> RecvArm<'_, T> {
        RecvArm::new(&self.0.core)
    }

    /// Receives, in a loop, until [`recv`](Self::recv) fails: the channel is closed and empty, or the loop was cancelled or came under a
    /// deadline. Each step is a cancellation point.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// Receives, in a loop, what is there, and does not wait.
    ///
    /// ```
    /// use event_channel::sync::channel;
    ///
    /// let (sender, receiver) = channel::unbounded();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }

    /// Closes the channel: from now on nothing is sent, by anybody. What lies in it can be received. False: it was closed before.
    ///
    /// ```
    /// use event_channel::sync::channel::{self, SendError};
    ///
    /// let (sender, receiver) = channel::unbounded();
    /// sender.send(1).unwrap();
    /// receiver.close();
    /// assert_eq!(sender.send(2), Err(SendError::Closed(2)));
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn close(&self) -> bool {
        self.0.core.close()
    }

    /// Is the channel closed, or are all senders gone? Values may lie in it still.
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
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.0.core.name()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        let shared = self.0.clone();
        shared.receivers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Receiver(shared)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.receiver_goes();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("name", &self.name()).finish_non_exhaustive()
    }
}
