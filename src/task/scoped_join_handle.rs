//! [`ScopedJoinHandle`].

use super::{JoinHandle, Task};
use ec_tasks::Group;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// The handle of a task of a [`scope`](super::scope()). Dropping it leaves the task to the scope, which waits for it; if the handle is leaked, so is the
/// task's result.
pub struct ScopedJoinHandle<'scope, T> {
    inner: JoinHandle<T>,
    group: Arc<Group>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    pub(super) fn new(inner: JoinHandle<T>, group: Arc<Group>) -> Self {
        ScopedJoinHandle { inner, group, scope: PhantomData }
    }

    /// As [`JoinHandle::join`]. A panic of the task that is seen here is none of the scope's any more.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// use event_channel::task;
    ///
    /// task::scope(|s| {
    ///     let child = s.spawn(|| panic!("on purpose"));
    ///     assert!(child.join().is_err());
    /// }); // does not panic
    /// ```
    pub fn join(self) -> std::thread::Result<T> {
        self.inner.join().inspect_err(|_| self.group.claim())
    }

    /// As [`JoinHandle::join_cancellable`], and as [`join`](Self::join): a panic that is seen here is none of the scope's any more.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    ///
    /// ```
    /// use event_channel::{is_deadline, task, time};
    /// use std::time::Duration;
    ///
    /// task::scope(|s| {
    ///     let mut slow = s.spawn(|| task::park_cancellable().is_err());
    ///     let error = time::timeout(Duration::from_millis(5), || slow.join_cancellable()).unwrap_err();
    ///     assert!(is_deadline(&error));
    ///     slow.cancel();
    ///     assert!(slow.join().unwrap());
    /// });
    /// ```
    pub fn join_cancellable(&mut self) -> io::Result<std::thread::Result<T>> {
        Ok(self.inner.join_cancellable()?.inspect_err(|_| self.group.claim()))
    }

    /// As [`JoinHandle::join_timeout`], and as [`join`](Self::join): a panic that is seen here is none of the scope's any more.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// use event_channel::task;
    /// use std::time::Duration;
    ///
    /// task::scope(|s| {
    ///     let slow = s.spawn(task::park);
    ///     let slow = slow.join_timeout(Duration::from_millis(5)).expect_err("nobody unparks it");
    ///     slow.task().unpark();
    ///     slow.join().unwrap();
    /// });
    /// ```
    pub fn join_timeout(self, timeout: Duration) -> Result<std::thread::Result<T>, Self> {
        let ScopedJoinHandle { inner, group, scope } = self;
        match inner.join_timeout(timeout) {
            Ok(result) => Ok(result.inspect_err(|_| group.claim())),
            Err(inner) => Err(ScopedJoinHandle { inner, group, scope }),
        }
    }

    /// As [`JoinHandle::join_timeout_cancellable`], and as [`join`](Self::join): a panic that is seen here is none of the scope's any more.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn join_timeout_cancellable(
        &mut self,
        timeout: Duration,
    ) -> io::Result<Option<std::thread::Result<T>>> {
        let ended = self.inner.join_timeout_cancellable(timeout)?;
        Ok(ended.map(|result| result.inspect_err(|_| self.group.claim())))
    }

    /// As that of a [`JoinHandle`], and as [`join`](Self::join): a panic that is seen here is none of the scope's any more.
    pub(crate) fn try_join(&mut self) -> Option<std::thread::Result<T>> {
        Some(self.inner.try_join()?.inspect_err(|_| self.group.claim()))
    }

    pub(crate) fn inner(&mut self) -> &mut JoinHandle<T> {
        &mut self.inner
    }

    /// As [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        self.inner.cancel();
    }

    /// As [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    /// As [`JoinHandle::thread`].
    pub fn thread(&self) -> &Task {
        self.task()
    }

    /// As [`JoinHandle::task`].
    pub fn task(&self) -> &Task {
        self.inner.task()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").field("task", self.task()).finish_non_exhaustive()
    }
}
