//! [`Condvar`]: std's, for tasks and threads.

use super::base::face::{Stop, WaitKind, const_fn};
use super::base::names::{self, Name};
use super::base::waiters::{How, Waiters};
use super::mutex::MutexGuard;
use super::poison::WaitTimeoutResult;
use crate::twins::{after, no_point, point};
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
        of_both(no_point(|is| self.wait_by(guard, None, is)))
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
        Ok(of_both(point(|is| self.wait_by(guard, None, is))?))
    }

    /// [`wait`](Self::wait)s as long as `condition` says so.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        of_both(no_point(|is| self.wait_while_by(guard, None, is, condition)))
    }

    /// As [`wait_while`](Self::wait_while), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// As [`wait_cancellable`](Self::wait_cancellable): after an error of the outer result the lock is free.
    ///
    /// ```
    /// use event_channel::sync::{Condvar, Mutex};
    /// use event_channel::{is_cancelled, task};
    ///
    /// let (jobs, more) = (Mutex::new(Vec::<u32>::new()), Condvar::new());
    /// task::scope(|s| {
    ///     let worker = s.spawn(|| {
    ///         let jobs = more.wait_while_cancellable(jobs.lock().unwrap(), |jobs| jobs.is_empty())?;
    ///         Ok::<_, std::io::Error>(jobs.unwrap().pop())
    ///     });
    ///     worker.cancel();
    ///     assert!(is_cancelled(&worker.join().unwrap().unwrap_err()));
    /// });
    /// ```
    pub fn wait_while_cancellable<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> io::Result<LockResult<MutexGuard<'a, T>>> {
        Ok(of_both(point(|is| self.wait_while_by(guard, None, is, condition))?))
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
        no_point(|is| self.wait_by(guard, after(timeout), is))
    }

    /// As [`wait_timeout`](Self::wait_timeout), for so many milliseconds. `false`: they are over.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    #[deprecated(note = "replaced by `event_channel::sync::Condvar::wait_timeout`, as std's is")]
    pub fn wait_timeout_ms<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        ms: u32,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let in_time = |(guard, result): (_, WaitTimeoutResult)| (guard, !result.timed_out());
        match self.wait_timeout(guard, Duration::from_millis(ms.into())) {
            Ok(both) => Ok(in_time(both)),
            Err(error) => Err(PoisonError::new(in_time(error.into_inner()))),
        }
    }

    /// As [`wait_timeout`](Self::wait_timeout), and a cancellation point.
    ///
    /// # Errors
    /// As [`wait_cancellable`](Self::wait_cancellable): after an error of the outer result the lock is free. That `timeout` is over is none.
    ///
    /// ```
    /// use event_channel::sync::{Condvar, Mutex};
    /// use event_channel::time::Duration;
    ///
    /// let (mutex, condvar) = (Mutex::new(7), Condvar::new());
    /// let (guard, result) =
    ///     condvar.wait_timeout_cancellable(mutex.lock().unwrap(), Duration::from_millis(5))?.unwrap();
    /// assert_eq!((*guard, result.timed_out()), (7, true));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait_timeout_cancellable<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> io::Result<LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>> {
        point(|is| self.wait_by(guard, after(timeout), is))
    }

    /// [`wait`](Self::wait)s as long as `condition` says so, for at most `timeout`. The result says
    /// [`timed_out`](WaitTimeoutResult::timed_out) if the condition holds still.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        no_point(|is| self.wait_while_by(guard, after(timeout), is, condition))
    }

    /// As [`wait_timeout_while`](Self::wait_timeout_while), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// As [`wait_timeout_cancellable`](Self::wait_timeout_cancellable).
    pub fn wait_timeout_while_cancellable<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> io::Result<LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>> {
        point(|is| self.wait_while_by(guard, after(timeout), is, condition))
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

    /// As long as `condition` says so, which it is asked once more when the time is over.
    fn wait_while_by<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
        point: bool,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<Both<'a, T>, Stop> {
        let mut result = WaitTimeoutResult::new(false);
        loop {
            if !condition(&mut guard) {
                return Ok(Ok((guard, WaitTimeoutResult::new(false))));
            }
            if result.timed_out() {
                return Ok(Ok((guard, result)));
            }
            match self.wait_by(guard, deadline, point)? {
                Ok(both) => (guard, result) = both,
                poisoned => return Ok(poisoned),
            }
        }
    }

    /// Until it is notified, or `deadline` has come. If it is stopped the lock is free.
    fn wait_by<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
        point: bool,
    ) -> Result<Both<'a, T>, Stop> {
        let (held, away) = guard.away();
        let how = How { deadline, point, ..How::new(&CONDVAR, self.name.detail(self)) };
        // (Who notifies with the lock, from here on, finds the caller in the list.)
        let notified = self.waiters.wait(&how, |_| false, || drop(held), |_| ()).has_come()?;
        let result = WaitTimeoutResult::new(!notified);
        Ok(match away.back() {
            Ok(guard) => Ok((guard, result)),
            Err(error) => Err(PoisonError::new((error.into_inner(), result))),
        })
    }
}

/// The lock again, and whether the time was over.
type Both<'a, T> = LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>;

/// The lock of both.
fn of_both<T>(both: Both<'_, T>) -> LockResult<MutexGuard<'_, T>> {
    both.map(|(guard, _)| guard).map_err(|error| PoisonError::new(error.into_inner().0))
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
