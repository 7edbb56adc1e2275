//! [`Semaphore`]: a number of permits.

use super::base::face::{Stop, WaitKind, const_fn, let_others_run_at_times};
use super::base::names::{self, Name};
use super::base::stock::Stock;
use super::base::waiters::How;
use crate::twins::{NO_DEADLINE, after, no_point, point};
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

static SEMAPHORE: WaitKind = WaitKind { name: "semaphore", cancel: None, describe: names::describe };

/// A number of permits, for as many as may do something at the same time. Who finds none waits: a task is suspended, a plain thread is
/// blocked.
///
/// **First come, first served.** Who wants many permits is not passed over by those who want few: they wait behind it. Who is cancelled,
/// has no time left, or was abandoned by its runtime's shutdown is in nobody's way. (A [dedicated](crate::task::Builder::dedicated) task goes on
/// after that, as [`join`](crate::task::JoinHandle::join) says: it keeps its place in the line, and takes what it waits for.)
///
/// **Cancel.** As of a lock: [`acquire`](Self::acquire) cannot fail and is no cancellation point;
/// [`acquire_cancellable`](Self::acquire_cancellable) is.
///
/// A task that acquires again and again lets others run at times, also if there are permits each time: before it takes one. (Not so
/// [`try_acquire`](Self::try_acquire).)
///
/// A permit comes back when it is dropped. One that is [forgotten](SemaphorePermit::forget) does not, and
/// [`add_permits`](Self::add_permits) makes new ones.
///
/// ```
/// use event_channel::sync::{Arc, Semaphore};
/// use event_channel::{run, task};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// run(|| {
///     let at_once = Arc::new(Semaphore::new(2));
///     let inside = Arc::new(AtomicUsize::new(0));
///     let tasks: Vec<_> = (0..8).map(|_| {
///         let (at_once, inside) = (at_once.clone(), inside.clone());
///         task::spawn(move || {
///             let _permit = at_once.acquire();
///             assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
///             task::yield_now();
///             inside.fetch_sub(1, Ordering::SeqCst);
///         })
///     }).collect();
///     tasks.into_iter().for_each(|task| task.join().unwrap());
///     assert_eq!(at_once.available_permits(), 2);
/// });
/// ```
pub struct Semaphore {
    stock: Stock,
    name: Name,
}

/// Permits of a [`Semaphore`], which has them again when this is dropped.
#[must_use = "the semaphore has the permits again when this is dropped"]
#[clippy::has_significant_drop]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

/// As [`SemaphorePermit`], with a reference of its own to the semaphore: it may go to another task.
#[must_use = "the semaphore has the permits again when this is dropped"]
#[clippy::has_significant_drop]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    permits: usize,
}

// (No code of others runs while anything in it is changed.)
impl UnwindSafe for Semaphore {}
impl RefUnwindSafe for Semaphore {}

impl Semaphore {
    const_fn! {
        /// One with so many permits, up to `usize::MAX / 2`.
        pub fn new(permits: usize) -> Semaphore {
            Semaphore { stock: Stock::new(permits), name: Name::none() }
        }
    }

    const_fn! {
        /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
        pub fn named(permits: usize, name: &'static str) -> Semaphore {
            Semaphore { stock: Stock::new(permits), name: Name::new(name) }
        }
    }

    /// Waits for a permit: suspends a task, blocks a plain thread. Not a cancellation point.
    pub fn acquire(&self) -> SemaphorePermit<'_> {
        self.acquire_many(1)
    }

    /// Waits for so many permits at once: suspends a task, blocks a plain thread. Not a cancellation point.
    ///
    /// Those who come later wait behind it, also for as many as there never were: until there are.
    ///
    /// ```
    /// use event_channel::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(5);
    /// let three = semaphore.acquire_many(3);
    /// assert_eq!((three.permits(), semaphore.available_permits()), (3, 2));
    /// ```
    pub fn acquire_many(&self, permits: usize) -> SemaphorePermit<'_> {
        no_point(|is| self.take(permits, None, is)).expect(NO_DEADLINE)
    }

    /// As [`acquire`](Self::acquire), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// The task was [cancelled](crate::Cancelled), or the deadline of a surrounding [`timeout`](crate::time::timeout) has come. No
    /// permit was taken then.
    ///
    /// ```
    /// use event_channel::sync::Semaphore;
    /// use event_channel::time::{timeout, Duration};
    /// use std::io::ErrorKind;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.acquire_cancellable()?;
    /// let late = timeout(Duration::from_millis(5), || semaphore.acquire_cancellable().map(drop));
    /// assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn acquire_cancellable(&self) -> io::Result<SemaphorePermit<'_>> {
        self.acquire_many_cancellable(1)
    }

    /// As [`acquire_many`](Self::acquire_many), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// As [`acquire_cancellable`](Self::acquire_cancellable).
    pub fn acquire_many_cancellable(&self, permits: usize) -> io::Result<SemaphorePermit<'_>> {
        Ok(point(|is| self.take(permits, None, is))?.expect(NO_DEADLINE))
    }

    /// As [`acquire`](Self::acquire), for at most `timeout`. `None`: there was no permit by then.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<SemaphorePermit<'_>> {
        self.acquire_many_timeout(1, timeout)
    }

    /// As [`acquire_many`](Self::acquire_many), for at most `timeout`. `None`: there were not enough by then.
    ///
    /// ```
    /// use event_channel::sync::Semaphore;
    /// use event_channel::time::Duration;
    ///
    /// let semaphore = Semaphore::new(2);
    /// assert!(semaphore.acquire_many_timeout(3, Duration::from_millis(5)).is_none());
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    pub fn acquire_many_timeout(&self, permits: usize, timeout: Duration) -> Option<SemaphorePermit<'_>> {
        no_point(|is| self.take(permits, after(timeout), is))
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// As [`acquire_cancellable`](Self::acquire_cancellable). That `timeout` is over is none.
    ///
    /// ```
    /// use event_channel::sync::Semaphore;
    /// use event_channel::time::Duration;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.acquire();
    /// assert!(semaphore.acquire_timeout_cancellable(Duration::from_millis(5))?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn acquire_timeout_cancellable(&self, timeout: Duration) -> io::Result<Option<SemaphorePermit<'_>>> {
        self.acquire_many_timeout_cancellable(1, timeout)
    }

    /// As [`acquire_many_timeout`](Self::acquire_many_timeout), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// As [`acquire_timeout_cancellable`](Self::acquire_timeout_cancellable).
    pub fn acquire_many_timeout_cancellable(
        &self,
        permits: usize,
        timeout: Duration,
    ) -> io::Result<Option<SemaphorePermit<'_>>> {
        point(|is| self.take(permits, after(timeout), is))
    }

    /// A permit, if one is there and nobody waits. Does not wait.
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.try_acquire_many(1)
    }

    /// So many permits, if they are there and nobody waits. Does not wait.
    pub fn try_acquire_many(&self, permits: usize) -> Option<SemaphorePermit<'_>> {
        self.stock.try_take(permits).then(|| SemaphorePermit { semaphore: self, permits })
    }

    /// As [`acquire`](Self::acquire), with a permit that may go to another task or thread.
    ///
    /// ```
    /// use event_channel::sync::{Arc, Semaphore};
    /// use event_channel::task;
    ///
    /// let at_once = Arc::new(Semaphore::new(2));
    /// let tasks: Vec<_> = (0..5).map(|_| {
    ///     let permit = at_once.acquire_owned(); // before the task is there
    ///     task::spawn(move || drop(permit))
    /// }).collect();
    /// tasks.into_iter().for_each(|task| task.join().unwrap());
    /// ```
    pub fn acquire_owned(self: &Arc<Self>) -> OwnedSemaphorePermit {
        self.acquire().owned_by(self)
    }

    /// As [`acquire_many`](Self::acquire_many), with permits that may go to another task or thread.
    pub fn acquire_many_owned(self: &Arc<Self>, permits: usize) -> OwnedSemaphorePermit {
        self.acquire_many(permits).owned_by(self)
    }

    /// As [`acquire_cancellable`](Self::acquire_cancellable), with a permit that may go to another task or thread.
    ///
    /// # Errors
    /// As there.
    pub fn acquire_owned_cancellable(self: &Arc<Self>) -> io::Result<OwnedSemaphorePermit> {
        Ok(self.acquire_cancellable()?.owned_by(self))
    }

    /// As [`acquire_many_cancellable`](Self::acquire_many_cancellable), with permits that may go to another task or thread.
    ///
    /// # Errors
    /// As there.
    pub fn acquire_many_owned_cancellable(
        self: &Arc<Self>,
        permits: usize,
    ) -> io::Result<OwnedSemaphorePermit> {
        Ok(self.acquire_many_cancellable(permits)?.owned_by(self))
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that may go to another task or thread.
    pub fn try_acquire_owned(self: &Arc<Self>) -> Option<OwnedSemaphorePermit> {
        Some(self.try_acquire()?.owned_by(self))
    }

    /// So many permits that are there, and are promised to nobody who has waited for them.
    pub fn available_permits(&self) -> usize {
        self.stock.unpromised()
    }

    /// Makes so many new permits. (There are never more than `usize::MAX / 2`.) Never blocks.
    pub fn add_permits(&self, permits: usize) {
        self.stock.add_what_fits(permits);
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.name.text()
    }

    /// `None`: `deadline` came first.
    fn take(
        &self,
        permits: usize,
        deadline: Option<Instant>,
        point: bool,
    ) -> Result<Option<SemaphorePermit<'_>>, Stop> {
        let_others_run_at_times();
        let how = || How { deadline, point, ..How::new(&SEMAPHORE, self.name.detail(self)) };
        let got = self.stock.take(permits, how)?;
        Ok(got.then(|| SemaphorePermit { semaphore: self, permits }))
    }
}

impl SemaphorePermit<'_> {
    /// How many permits these are.
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// The semaphore does not get them back.
    ///
    /// ```
    /// use event_channel::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// semaphore.acquire().forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// By a reference to the same semaphore.
    fn owned_by(mut self, semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
        let permits = std::mem::take(&mut self.permits);
        OwnedSemaphorePermit { semaphore: semaphore.clone(), permits }
    }
}

impl OwnedSemaphorePermit {
    /// How many permits these are.
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// The semaphore does not get them back.
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Whose permits these are.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.add_permits(self.permits);
        }
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.add_permits(self.permits);
        }
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedSemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSemaphorePermit").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (permits, waiters) = self.stock.state();
        let mut all = f.debug_struct("Semaphore");
        names::show(self.name(), &mut all);
        all.field("permits", &permits).field("waiters", &waiters).finish()
    }
}
