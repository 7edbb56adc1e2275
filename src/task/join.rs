//! Waiting for the end of a task otherwise than by `join`: with a limit, and from `async` code.

use super::{JoinHandle, TaskId};
use crate::twins::{after, no_point, point};
use ec_pool::wait::{self, Stop};
use ec_tasks::Watcher;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

impl<T> JoinHandle<T> {
    /// As [`join`](Self::join), for at most `timeout`: then it gives back the handle, and the task goes on. Not a cancellation point.
    ///
    /// # Errors
    /// The handle, if the task has not ended in time.
    ///
    /// # Panics
    /// In the task itself, which would wait for its own end.
    ///
    /// ```
    /// use event_channel::task;
    /// use std::time::Duration;
    ///
    /// let waits = task::spawn(task::park);
    /// let waits = waits.join_timeout(Duration::from_millis(5)).expect_err("nobody unparks it");
    /// waits.task().unpark();
    /// assert!(waits.join_timeout(Duration::from_secs(60)).unwrap().is_ok());
    /// ```
    pub fn join_timeout(mut self, timeout: Duration) -> Result<thread::Result<T>, JoinHandle<T>> {
        no_point(|is| self.join_by(after(timeout), is)).ok_or(self)
    }

    /// As [`join_timeout`](Self::join_timeout), and a [cancellation point](crate::task#cancellation). The handle stays, as with
    /// [`join_cancellable`](Self::join_cancellable); `None`: the task has not ended in time.
    ///
    /// # Errors
    /// As [`join_cancellable`](Self::join_cancellable). That `timeout` is over is none.
    ///
    /// # Panics
    /// As [`join`](Self::join): the result is given once.
    ///
    /// ```
    /// use event_channel::task;
    /// use std::time::Duration;
    ///
    /// let mut waits = task::spawn(task::park);
    /// assert!(waits.join_timeout_cancellable(Duration::from_millis(5))?.is_none());
    /// waits.task().unpark();
    /// waits.join().unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn join_timeout_cancellable(&mut self, timeout: Duration) -> io::Result<Option<thread::Result<T>>> {
        wait::checkpoint()?;
        point(|is| self.join_by(after(timeout), is))
    }

    /// `None`: `deadline` came first.
    pub(super) fn join_by(
        &mut self,
        deadline: Option<Instant>,
        point: bool,
    ) -> Result<Option<thread::Result<T>>, Stop> {
        let mut stopped = None;
        let around = if point { wait::scope_deadline() } else { None };
        let at = wait::earliest(deadline, around);
        let ended = self.inner.wait_by(at, |end| stopped = wait::until_ended(end, deadline, point).err());
        // (Whoever has polled before is not told any more.)
        *self.waker = None;
        match stopped {
            // (A stop that the end has outrun waits for the next point.)
            _ if ended => Ok(Some(self.inner.take())),
            Some(stop) => Err(stop),
            None if at == deadline => Ok(None),
            // A plain thread.
            None => Err(Stop::Scope(at.unwrap_or_else(Instant::now))),
        }
    }

    /// As [`ec_tasks::JoinHandle::tell`]. Whoever has polled the handle is not told any more.
    pub(crate) fn tell(&mut self, watcher: Arc<dyn Watcher>, word: u32) -> bool {
        let tells = self.inner.tell(watcher, word);
        *self.waker = None;
        tells
    }

    /// Nobody is told any more.
    pub(crate) fn untell(&mut self) {
        self.inner.untell();
    }

    /// As [`ec_tasks::JoinHandle::try_join`].
    ///
    /// # Panics
    /// As there; and in the task itself, which would wait for its own end.
    pub(crate) fn try_join(&mut self) -> Option<thread::Result<T>> {
        self.inner.is_not_of_caller();
        self.inner.try_join()
    }

    pub(super) fn id(&self) -> TaskId {
        self.inner.task().id()
    }
}

/// Awaits the task's end, in any executor: what `async` code does instead of [`join`](JoinHandle::join), with the same result. Dropping it
/// detaches the task. It is woken as the task ends, on the worker that ran it; a waker that blocks holds that up.
///
/// A handle may also be joined after it was polled, or be polled with another waker each time: the last who came is told.
///
/// # Panics
/// When polled after it was ready, and in the task itself, which would wait for its own end.
///
/// ```
/// use event_channel::{future, task};
///
/// let answer = async { task::spawn(|| 6 * 7).await.unwrap() };
/// assert_eq!(future::wait(answer), 42);
/// ```
impl<T> Future for JoinHandle<T> {
    type Output = thread::Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(result) = this.inner.try_join() {
            return Poll::Ready(result);
        }
        let is_named = this.waker.is_some();
        let slot = this.waker.get_or_insert_default();
        slot.set(context.waker());
        if !is_named {
            this.inner.tell(slot.clone(), 0);
        }
        // (It may have ended before the waker was there.)
        this.inner.try_join().map_or(Poll::Pending, Poll::Ready)
    }
}

// The result does not lie in the handle.
impl<T> Unpin for JoinHandle<T> {}
