//! [`Once`]: std's, for tasks and threads.

use super::base::face::{AtomicU8, Ordering, Stop, WaitKind};
use super::base::names::{self, Name};
use super::base::waiters::{How, Locked, Waiters};
use crate::twins::{after, no_point, point};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

static ONCE: WaitKind = WaitKind { name: "once", cancel: None, describe: names::describe };

const NOT_YET: u8 = 0;
const POISONED: u8 = 1;
const RUNS: u8 = 2;
const DONE: u8 = 3;

/// As [`std::sync::Once`]: something is done once, and whoever comes meanwhile waits until it is done. A task that waits is suspended, a
/// plain thread is blocked.
///
/// Names, poison and meaning are std's. What is to be done may suspend. If it waits for this `Once` itself, it waits for good; so does
/// everybody if it never comes to its end, be it that its task was abandoned by a shutdown in the middle of it. In a forked child the same
/// holds for what another task or thread of the parent was about to do.
///
/// [`call_once`](Self::call_once) and [`wait`](Self::wait) are no cancellation points; [`call_once_cancellable`](Self::call_once_cancellable)
/// and [`wait_cancellable`](Self::wait_cancellable) are.
///
/// ```
/// use event_channel::sync::Once;
/// use event_channel::{run, task};
///
/// static BEGIN: Once = Once::new();
///
/// run(|| {
///     let tasks: Vec<_> = (0..3).map(|_| task::spawn(|| {
///         let mut was_me = false;
///         BEGIN.call_once(|| was_me = true);
///         was_me
///     })).collect();
///     let did: Vec<bool> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
///     assert_eq!(did.iter().filter(|did| **did).count(), 1);
///     assert!(BEGIN.is_completed());
/// });
/// ```
pub struct Once {
    state: AtomicU8,
    waiters: Waiters,
    name: Name,
}

/// As [`std::sync::OnceState`], which only std can make: what a closure of [`call_once_force`](Once::call_once_force) is told.
pub struct OnceState {
    poisoned: bool,
}

impl OnceState {
    /// Has one panicked that has tried before?
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState").field("poisoned", &self.is_poisoned()).finish()
    }
}

// (As std's: a panic poisons it.)
impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

impl Once {
    /// One that nothing was done for.
    #[allow(clippy::new_without_default)] // std's has none
    pub const fn new() -> Once {
        Once::with_name(Name::none())
    }

    /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
    pub const fn named(name: &'static str) -> Once {
        Once::with_name(Name::new(name))
    }

    pub(super) const fn with_name(name: Name) -> Once {
        Once { state: AtomicU8::new(NOT_YET), waiters: Waiters::new(), name }
    }

    /// Calls `f` if nobody has before, and waits if somebody does at this moment. When it returns, `f` has been called, here or elsewhere,
    /// and what it did is seen. Not a cancellation point.
    ///
    /// # Panics
    /// One that has tried before has panicked. A panic of `f` goes on, and poisons it.
    #[inline]
    pub fn call_once(&self, f: impl FnOnce()) {
        if !self.is_completed() {
            no_point(|is| self.call(false, is, |_| f()));
        }
    }

    /// As [`call_once`](Self::call_once), and a cancellation point if it has to wait for another one. `f` is not called then.
    ///
    /// # Errors
    /// The task was [cancelled](crate::Cancelled) while it waited, or the deadline of a surrounding [`timeout`](crate::time::timeout) has
    /// come.
    ///
    /// # Panics
    /// As [`call_once`](Self::call_once).
    pub fn call_once_cancellable(&self, f: impl FnOnce()) -> io::Result<()> {
        if self.is_completed() { Ok(()) } else { point(|is| self.call(false, is, |_| f())) }
    }

    /// As [`call_once`](Self::call_once), but tries again if one has panicked that has tried before.
    ///
    /// ```
    /// use event_channel::sync::Once;
    ///
    /// let once = Once::new();
    /// let first = std::panic::catch_unwind(|| once.call_once(|| panic!("not ready")));
    /// assert!(first.is_err());
    /// once.call_once_force(|state| assert!(state.is_poisoned()));
    /// assert!(once.is_completed());
    /// ```
    #[inline]
    pub fn call_once_force(&self, f: impl FnOnce(&OnceState)) {
        if !self.is_completed() {
            no_point(|is| self.call(true, is, f));
        }
    }

    /// As [`call_once_force`](Self::call_once_force), and a cancellation point if it has to wait for another one. `f` is not called then.
    ///
    /// # Errors
    /// As [`call_once_cancellable`](Self::call_once_cancellable).
    ///
    /// ```
    /// use event_channel::sync::Once;
    ///
    /// let once = Once::new();
    /// let first = std::panic::catch_unwind(|| once.call_once(|| panic!("not ready")));
    /// assert!(first.is_err());
    /// once.call_once_force_cancellable(|state| assert!(state.is_poisoned()))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn call_once_force_cancellable(&self, f: impl FnOnce(&OnceState)) -> io::Result<()> {
        if self.is_completed() { Ok(()) } else { point(|is| self.call(true, is, f)) }
    }

    /// Has it been done?
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }

    /// Waits until somebody has done it: suspends a task, blocks a plain thread. Not a cancellation point.
    ///
    /// # Panics
    /// One that has tried has panicked.
    pub fn wait(&self) {
        no_point(|is| self.wait_until(None, is, false));
    }

    /// As [`wait`](Self::wait), also after a panic: somebody may try again.
    pub fn wait_force(&self) {
        no_point(|is| self.wait_until(None, is, true));
    }

    /// As [`wait_force`](Self::wait_force), and a cancellation point.
    ///
    /// # Errors
    /// As [`wait_cancellable`](Self::wait_cancellable).
    pub fn wait_force_cancellable(&self) -> io::Result<()> {
        point(|is| self.wait_until(None, is, true)).map(drop)
    }

    /// As [`wait`](Self::wait), and a cancellation point.
    ///
    /// # Errors
    /// The task was [cancelled](crate::Cancelled), or the deadline of a surrounding [`timeout`](crate::time::timeout) has come.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    pub fn wait_cancellable(&self) -> io::Result<()> {
        point(|is| self.wait_until(None, is, false)).map(drop)
    }

    /// As [`wait`](Self::wait), for at most `timeout`. False: it has not been done by then.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        no_point(|is| self.wait_until(after(timeout), is, false))
    }

    /// As [`wait_timeout`](Self::wait_timeout), and a cancellation point.
    ///
    /// # Errors
    /// As [`wait_cancellable`](Self::wait_cancellable). That `timeout` is over is none.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    ///
    /// ```
    /// use event_channel::sync::Once;
    /// use event_channel::time::{Duration, timeout};
    /// use event_channel::is_deadline;
    ///
    /// let (once, short, long) = (Once::new(), Duration::from_millis(5), Duration::from_secs(3600));
    /// assert!(!once.wait_timeout_cancellable(short)?);
    /// let late = timeout(short, || once.wait_timeout_cancellable(long));
    /// assert!(is_deadline(&late.unwrap_err()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait_timeout_cancellable(&self, timeout: Duration) -> io::Result<bool> {
        point(|is| self.wait_until(after(timeout), is, false))
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.name.text()
    }

    /// Calls `f`, unless another one does, or has.
    #[cold]
    pub(super) fn call(&self, force: bool, point: bool, f: impl FnOnce(&OnceState)) -> Result<(), Stop> {
        loop {
            match self.state.load(Ordering::Acquire) {
                DONE => return Ok(()),
                RUNS => _ = self.sleep(None, point, |state| state == RUNS)?,
                POISONED if !force => poisoned(),
                was => {
                    let begins = self.state.compare_exchange(was, RUNS, Ordering::Acquire, Ordering::Relaxed);
                    if begins.is_err() {
                        continue;
                    }
                    let ends = Ends { once: self, state: Cell::new(POISONED) };
                    f(&OnceState { poisoned: was == POISONED });
                    ends.state.set(DONE);
                    return Ok(());
                }
            }
        }
    }

    /// `Ok(false)`: `deadline` came first.
    pub(super) fn wait_until(
        &self,
        deadline: Option<Instant>,
        point: bool,
        force: bool,
    ) -> Result<bool, Stop> {
        loop {
            match self.state.load(Ordering::Acquire) {
                DONE => return Ok(true),
                POISONED if !force => poisoned(),
                _ => {
                    let is_to_wait = |state| state != DONE && (force || state != POISONED);
                    if !self.sleep(deadline, point, is_to_wait)? {
                        // (It may have been done at last.)
                        return Ok(self.is_completed());
                    }
                }
            }
        }
    }

    /// Until somebody has come to an end of it. `Ok(false)`: `deadline` came first.
    fn sleep(
        &self,
        deadline: Option<Instant>,
        point: bool,
        is_to_wait: impl FnOnce(u8) -> bool,
    ) -> Result<bool, Stop> {
        let how = How { deadline, point, ..How::new(&ONCE, self.name.detail(self)) };
        let nothing = |_: &mut Locked<'_>| !is_to_wait(self.state.load(Ordering::Acquire));
        self.waiters.wait(&how, nothing, || (), |_| ()).has_come()
    }
}

/// (As std's.)
#[cold]
fn poisoned() -> ! {
    panic!("Once instance has previously been poisoned");
}

/// The closure returns, or unwinds.
struct Ends<'a> {
    once: &'a Once,
    state: Cell<u8>,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        {
            // Under the lock: who waits has seen that it runs, and is in the list, or sees this.
            let _list = self.once.waiters.lock();
            self.once.state.store(self.state.get(), Ordering::Release);
        }
        self.once.waiters.tell_all();
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}
