//! [`Condvar`]: std's, for tasks and threads.

use super::base::face::{Stop, WaitKind, const_fn};
use super::base::names::{self, Name};
use super::base::waiters::{How, Waiters};
use super::mutex::MutexGuard;
use super::poison::WaitTimeoutResult;
use super::raw_mutex::RawMutex;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, PoisonError};
use std::time::{Duration, Instant};

static CONDVAR: WaitKind = WaitKind { name: "condvar", cancel: None, describe: names::describe };

/// As [`std::sync::Condvar`], with a [`Mutex`](super::Mutex) of ours: a task that waits is suspended, a plain thread is blocked.
///
/// Those that wait are notified in the order in which they came. A wait may end for nothing, as std's: ask for the condition again, or
/// use [`wait_while`](Self::wait_while). It may be used with several mutexes.
///
/// Its waits are no cancellation points; [`wait_cancellable`](Self::wait_cancellable) is. Who was notified returns so, and a
/// cancel is for its next point: so no notification is lost.
///
/// ```
/// use event_channel::sync::{Arc, Condvar, Mutex};
/// use event_channel::{run, task};
///
/// run(|| {
///     let ready = Arc::new((Mutex::new(false), Condvar::new()));
///     let theirs = ready.clone();
///     let other = task::spawn(move || {
///         *theirs.0.lock().unwrap() = true;
///         theirs.1.notify_one();
///     });
///     let guard = ready.1.wait_while(ready.0.lock().unwrap(), |ready| !*ready).unwrap();
///     assert!(*guard);
///     drop(guard);
///     other.join().unwrap();
/// });
/// ```
pub struct Condvar {
    waiters: Waiters,
    name: Name,
}

// (No code of others runs while anything in it is changed.)
impl UnwindSafe for Condvar {}
impl RefUnwindSafe for Condvar {}

impl Condvar {
    const_fn! {
        /// One on which nobody waits.
        pub fn new() -> Condvar {
            Condvar { waiters: Waiters::new(), name: Name::none() }
        }
    }

    const_fn! {
        /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
        pub fn named(name: &'static str) -> Condvar {
            Condvar { waiters: Waiters::new(), name: Name::new(name) }
        }
    }

    /// Waits until it is notified, without the lock, which it has again when it returns.
    ///
    /// # Errors
    /// The mutex is poisoned. The lock is held nevertheless, by the guard in the error.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let (held, away) = guard.away();
        // Without a deadline, and no point: it was notified.
        let _ = self.sleep(held, None, false);
        away.back()
    }

    /// As [`wait`](Self::wait), and a cancellation point.
    ///
    /// # Errors
    /// Of the outer result: the task was [cancelled](crate::Cancelled), or the deadline of a surrounding
    /// [`timeout`](crate::time::timeout) has come. The lock is free then. Of the inner one: as [`wait`](Self::wait).
    ///
    /// ```
    /// use event_channel::sync::{Condvar, Mutex};
    /// use event_channel::time::{timeout, Duration};
    /// use std::io::ErrorKind;
    ///
    /// let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    /// let late = timeout(Duration::from_millis(5), || {
    ///     condvar.wait_cancellable(mutex.lock().unwrap()).map(|_| ())
    /// });
    /// assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    /// ```
    pub fn wait_cancellable<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> io::Result<LockResult<MutexGuard<'a, T>>> {
        let (held, away) = guard.away();
        match self.sleep(held, None, true) {
            Ok(_) => Ok(away.back()),
            Err(stop) => Err(stop.deliver()),
        }
    }

    /// [`wait`](Self::wait)s as long as `condition` says so.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Self::wait), for at most `timeout`.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        // A sum that no clock can show is for ever.
        self.wait_until(guard, Instant::now().checked_add(timeout))
    }

    /// [`wait`](Self::wait)s as long as `condition` says so, for at most `timeout`. The result says
    /// [`timed_out`](WaitTimeoutResult::timed_out) if the condition holds still.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let end = Instant::now().checked_add(timeout);
        loop {
            if !condition(&mut guard) {
                return Ok((guard, WaitTimeoutResult::new(false)));
            }
            if end.is_some_and(|end| end <= Instant::now()) {
                return Ok((guard, WaitTimeoutResult::new(true)));
            }
            guard = self.wait_until(guard, end)?.0;
        }
    }

    /// Lets the one return that has waited longest, if anybody waits. Never blocks.
    pub fn notify_one(&self) {
        let wake = self.waiters.lock().tell_first();
        wake.into_iter().for_each(|wake| wake.wake());
    }

    /// Lets all return that wait at this moment. Never blocks.
    pub fn notify_all(&self) {
        self.waiters.tell_all();
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.name.text()
    }

    fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        end: Option<Instant>,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (held, away) = guard.away();
        let notified = self.sleep(held, end, false).is_ok_and(|notified| notified);
        let result = WaitTimeoutResult::new(!notified);
        match away.back() {
            Ok(guard) => Ok((guard, result)),
            Err(error) => Err(PoisonError::new((error.into_inner(), result))),
        }
    }

    /// Without the lock. `Ok(false)`: `deadline` came first.
    fn sleep<T>(
        &self,
        held: lock_api::MutexGuard<'_, RawMutex, T>,
        deadline: Option<Instant>,
        point: bool,
    ) -> Result<bool, Stop> {
        let how = How { deadline, point, ..How::new(&CONDVAR, self.name.detail(self)) };
        // (Who notifies with the lock, from here on, finds the caller in the list.)
        self.waiters.wait(&how, |_| false, || drop(held), |_| ()).has_come()
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("name", &self.name()).finish_non_exhaustive()
    }
}
