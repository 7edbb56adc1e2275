//! [`Barrier`]: std's, for tasks and threads.

use super::base::face::{AtomicU64, AtomicUsize, Ordering, Stop, WaitKind, const_fn, some_may_be_gone};
use super::base::names::{self, Name};
use super::base::waiters::{How, Locked, Waited, Waiters};
use crate::twins::{NO_DEADLINE, after, no_point, point};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

static BARRIER: WaitKind = WaitKind { name: "barrier", cancel: None, describe: names::describe };

/// As [`std::sync::Barrier`]: so many wait for each other, and go on together, time and again. A task that waits is suspended, a plain
/// thread is blocked.
///
/// Only those are counted that wait: who has given up ([`wait_cancellable`](Self::wait_cancellable), [`wait_timeout`](Self::wait_timeout))
/// is not counted any more, and neither is a task that its runtime's shutdown has abandoned in its wait. (A
/// [dedicated](crate::task::Builder::dedicated) one goes on, as [`join`](crate::task::JoinHandle::join) says, and is counted.)
///
/// [`wait`](Self::wait) is no cancellation point; [`wait_cancellable`](Self::wait_cancellable) is.
///
/// ```
/// use event_channel::sync::{Arc, Barrier};
/// use event_channel::{run, task};
///
/// run(|| {
///     let barrier = Arc::new(Barrier::new(3));
///     let tasks: Vec<_> = (0..3).map(|_| {
///         let barrier = barrier.clone();
///         task::spawn(move || barrier.wait().is_leader())
///     }).collect();
///     let leaders = tasks.into_iter().map(|task| task.join().unwrap()).filter(|leads| *leads);
///     assert_eq!(leaders.count(), 1);
/// });
/// ```
pub struct Barrier {
    size: usize,
    /// Those that have come before this one have gone on. Changed under the list's lock.
    round: AtomicU64,
    /// At least so many of this round are in the list; so many indeed, if none can be gone. Changed under the list's lock.
    here: AtomicUsize,
    waiters: Waiters,
    name: Name,
}

/// As [`std::sync::BarrierWaitResult`], which only std can make: whether this one leads.
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Of those that go on together exactly one leads.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult").field("is_leader", &self.is_leader()).finish()
    }
}

// (No code of others runs while anything in it is changed.)
impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

impl Barrier {
    const_fn! {
        /// One for `n` that wait for each other. With 0 or 1 nobody waits.
        pub fn new(n: usize) -> Barrier {
            Barrier::with(n, Name::none())
        }
    }

    const_fn! {
        /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
        pub fn named(n: usize, name: &'static str) -> Barrier {
            Barrier::with(n, Name::new(name))
        }
    }

    const_fn! {
        fn with(size: usize, name: Name) -> Barrier {
            let (round, here) = (AtomicU64::new(0), AtomicUsize::new(0));
            Barrier { size, round, here, waiters: Waiters::new(), name }
        }
    }

    /// Waits for the others: suspends a task, blocks a plain thread. Not a cancellation point.
    pub fn wait(&self) -> BarrierWaitResult {
        no_point(|is| self.wait_until(None, is)).expect(NO_DEADLINE)
    }

    /// As [`wait`](Self::wait), and a cancellation point. Whose others have come before the cancel returns that, and leaves the
    /// cancel for the next point.
    ///
    /// # Errors
    /// The task was [cancelled](crate::Cancelled), or the deadline of a surrounding [`timeout`](crate::time::timeout) has come. It
    /// is not counted any more then.
    ///
    /// ```
    /// use event_channel::sync::Barrier;
    /// use event_channel::time::{timeout, Duration};
    /// use std::io::ErrorKind;
    ///
    /// let barrier = Barrier::new(2);
    /// let late = timeout(Duration::from_millis(5), || barrier.wait_cancellable());
    /// assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    /// ```
    pub fn wait_cancellable(&self) -> io::Result<BarrierWaitResult> {
        Ok(point(|is| self.wait_until(None, is))?.expect(NO_DEADLINE))
    }

    /// As [`wait`](Self::wait), for at most `timeout`. `None`: the others have not come, and the caller is not counted any more.
    ///
    /// ```
    /// use event_channel::sync::Barrier;
    /// use event_channel::time::Duration;
    ///
    /// let barrier = Barrier::new(2);
    /// assert!(barrier.wait_timeout(Duration::from_millis(5)).is_none());
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Option<BarrierWaitResult> {
        no_point(|is| self.wait_until(after(timeout), is))
    }

    /// As [`wait_timeout`](Self::wait_timeout), and a cancellation point, as [`wait_cancellable`](Self::wait_cancellable).
    ///
    /// # Errors
    /// As [`wait_cancellable`](Self::wait_cancellable). That `timeout` is over is none.
    ///
    /// ```
    /// use event_channel::sync::Barrier;
    /// use event_channel::time::Duration;
    ///
    /// let barrier = Barrier::new(2);
    /// assert!(barrier.wait_timeout_cancellable(Duration::from_millis(5))?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait_timeout_cancellable(&self, timeout: Duration) -> io::Result<Option<BarrierWaitResult>> {
        point(|is| self.wait_until(after(timeout), is))
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.name.text()
    }

    /// `Ok(None)`: `deadline` came first.
    fn wait_until(&self, deadline: Option<Instant>, point: bool) -> Result<Option<BarrierWaitResult>, Stop> {
        if self.size <= 1 {
            return Ok(Some(BarrierWaitResult(true)));
        }
        let how = How { deadline, point, ..How::new(&BARRIER, self.name.detail(self)) };
        let (mine, is_over) = (Cell::new(None), Cell::new(false));
        loop {
            let mut leads = None;
            let comes = |list: &mut Locked<'_>| {
                let mut round = self.round.load(Ordering::Relaxed);
                if round > list.came() {
                    // In a forked child the list may begin anew.
                    round = list.came();
                    self.round.store(round, Ordering::Relaxed);
                    self.here.store(0, Ordering::Relaxed);
                }
                is_over.set(mine.get().is_some_and(|mine| mine != round));
                mine.set(Some(mine.get().unwrap_or(round)));
                if is_over.get() {
                    return true;
                }
                if self.is_last(round, list) {
                    // (There is somebody of this round in the list, so this is another number.)
                    self.round.store(list.came(), Ordering::Relaxed);
                    self.here.store(0, Ordering::Relaxed);
                    leads = Some(list.came());
                } else {
                    self.here.store(self.here.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
                leads.is_some()
            };
            let leaves = |_: &mut Locked<'_>| {
                // (The others may have come meanwhile.)
                is_over.set(Some(self.round.load(Ordering::Relaxed)) != mine.get());
                if !is_over.get() && !some_may_be_gone() {
                    self.here.store(self.here.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
                }
            };
            let waited = self.waiters.wait(&how, comes, || (), leaves);
            if let Some(came) = leads {
                self.waiters.tell_all_older(came);
                return Ok(Some(BarrierWaitResult(true)));
            }
            if is_over.get() {
                return Ok(Some(BarrierWaitResult(false)));
            }
            match waited {
                // It is to look again.
                Waited::Not | Waited::Told => (),
                Waited::Late => return Ok(None),
                Waited::Stopped(stop) => return Err(stop),
            }
        }
    }

    /// Under the list's lock: are all others there?
    fn is_last(&self, round: u64, list: &mut Locked<'_>) -> bool {
        if self.here.load(Ordering::Relaxed) + 1 < self.size {
            return false;
        }
        if some_may_be_gone() {
            // (They are looked for when it matters, not at each arrival.)
            self.here.store(list.count_since(round), Ordering::Relaxed);
        }
        self.here.load(Ordering::Relaxed) + 1 >= self.size
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Barrier");
        names::show(self.name(), &mut all);
        all.finish_non_exhaustive()
    }
}
