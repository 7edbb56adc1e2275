//! [`OnceLock`]: std's, for tasks and threads.
//!
//! The value lies in a cell of std's, which only the one touches for writing that [`Once`] lets: it never waits for anybody.

use super::base::face::Stop;
use super::base::names::Name;
use super::once::Once;
use crate::twins::{after, no_point, point};
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::OnceLock as Cell;
use std::time::Duration;

/// As [`std::sync::OnceLock`]: a value that is set once. Whoever comes while another one makes it waits: a task is suspended, a plain
/// thread is blocked.
///
/// Names and meaning are std's. What makes the value may suspend. A panic in it leaves the cell as it was, and another one may try. If it
/// never comes to its end, others wait for good: see [`Once`].
///
/// [`get_or_init`](Self::get_or_init), [`set`](Self::set) and [`wait`](Self::wait) are no cancellation points;
/// [`get_or_init_cancellable`](Self::get_or_init_cancellable) and [`wait_cancellable`](Self::wait_cancellable) are.
///
/// ```
/// use event_channel::sync::OnceLock;
/// use event_channel::{run, task};
///
/// static ANSWER: OnceLock<u32> = OnceLock::new();
///
/// run(|| {
///     let asks = task::spawn(|| *ANSWER.wait());
///     assert_eq!(*ANSWER.get_or_init(|| 42), 42);
///     assert_eq!(asks.join().unwrap(), 42);
///     assert_eq!(ANSWER.set(43), Err(43));
/// });
/// ```
pub struct OnceLock<T> {
    once: Once,
    cell: Cell<T>,
}

// (As std's.)
impl<T: UnwindSafe + RefUnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// One without a value.
    pub const fn new() -> OnceLock<T> {
        OnceLock { once: Once::new(), cell: Cell::new() }
    }

    /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
    pub const fn named(name: &'static str) -> OnceLock<T> {
        OnceLock { once: Once::named(name), cell: Cell::new() }
    }

    /// The value, if it is there. Does not wait.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.cell.get()
    }

    /// The value, if it is there.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.cell.get_mut()
    }

    /// Waits until the value is there, which another one makes or sets: suspends a task, blocks a plain thread. Not a cancellation point.
    pub fn wait(&self) -> &T {
        no_point(|is| self.once.wait_until(None, is, true));
        self.made()
    }

    /// As [`wait`](Self::wait), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// The task was [cancelled](crate::Cancelled), or the deadline of a surrounding [`timeout`](crate::time::timeout) has come.
    ///
    /// ```
    /// use event_channel::sync::OnceLock;
    /// use event_channel::time::{timeout, Duration};
    /// use std::io::ErrorKind;
    ///
    /// let cell = OnceLock::<u32>::new();
    /// let late = timeout(Duration::from_millis(5), || cell.wait_cancellable().copied());
    /// assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    /// ```
    pub fn wait_cancellable(&self) -> io::Result<&T> {
        point(|is| self.once.wait_until(None, is, true))?;
        Ok(self.made())
    }

    /// As [`wait`](Self::wait), for at most `timeout`. `None`: there is no value by then.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<&T> {
        no_point(|is| self.once.wait_until(after(timeout), is, true));
        self.get()
    }

    /// As [`wait_timeout`](Self::wait_timeout), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// As [`wait_cancellable`](Self::wait_cancellable). That `timeout` is over is none.
    ///
    /// ```
    /// use event_channel::sync::OnceLock;
    /// use event_channel::time::Duration;
    ///
    /// let cell = OnceLock::<u32>::new();
    /// assert_eq!(cell.wait_timeout_cancellable(Duration::from_millis(5))?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait_timeout_cancellable(&self, timeout: Duration) -> io::Result<Option<&T>> {
        point(|is| self.once.wait_until(after(timeout), is, true))?;
        Ok(self.get())
    }

    /// Sets the value. Waits if another one makes it at this moment. Not a cancellation point.
    ///
    /// # Errors
    /// There is one already; the error is the new one.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("this is called once"));
        value.map_or(Ok(()), Err)
    }

    /// As [`set`](Self::set), and a cancellation point if it has to wait for another one.
    ///
    /// # Errors
    /// Of the outer result: as [`wait_cancellable`](Self::wait_cancellable). **The value was not set, and has been dropped**: an [`io::Error`]
    /// cannot hold it. Of the inner one: as [`set`](Self::set).
    ///
    /// ```
    /// use event_channel::sync::OnceLock;
    ///
    /// let cell = OnceLock::new();
    /// assert_eq!(cell.set_cancellable(1)?, Ok(()));
    /// assert_eq!(cell.set_cancellable(2)?, Err(2));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_cancellable(&self, value: T) -> io::Result<Result<(), T>> {
        let mut value = Some(value);
        self.get_or_init_cancellable(|| value.take().expect("this is called once"))?;
        Ok(value.map_or(Ok(()), Err))
    }

    /// The value. If there is none yet `f` makes it, here or elsewhere; meanwhile it waits. Not a cancellation point.
    ///
    /// # Panics
    /// If `f` does; then there is no value. An `f` that comes back to the same cell waits for itself, for good.
    #[inline]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => no_point(|is| self.make(is, f)),
        }
    }

    /// As [`get_or_init`](Self::get_or_init), and a cancellation point if it has to wait for another one. `f` is not called then.
    ///
    /// # Errors
    /// As [`wait_cancellable`](Self::wait_cancellable).
    ///
    /// # Panics
    /// As [`get_or_init`](Self::get_or_init).
    pub fn get_or_init_cancellable(&self, f: impl FnOnce() -> T) -> io::Result<&T> {
        match self.get() {
            Some(value) => Ok(value),
            None => point(|is| self.make(is, f)),
        }
    }

    /// What was inside.
    pub fn into_inner(self) -> Option<T> {
        self.cell.into_inner()
    }

    /// Takes the value out. The cell is as new then.
    pub fn take(&mut self) -> Option<T> {
        let value = self.cell.take();
        self.once = Once::with_name(self.once.name().map_or(Name::none(), Name::new));
        value
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.once.name()
    }

    /// Has the value made, if it is not there, by the one that [`Once`] lets; also if somebody has panicked over it.
    #[cold]
    pub(super) fn make(&self, point: bool, f: impl FnOnce() -> T) -> Result<&T, Stop> {
        self.once.call(true, point, |_| {
            let value = f();
            // (Nobody else sets it.)
            let _ = self.cell.set(value);
        })?;
        Ok(self.made())
    }

    fn made(&self) -> &T {
        self.get().expect("it was made before that was said")
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => all.field(value),
            None => all.field(&format_args!("<uninit>")),
        };
        all.finish()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> OnceLock<T> {
        self.get().cloned().map_or_else(OnceLock::new, OnceLock::from)
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> OnceLock<T> {
        let made = OnceLock::new();
        made.get_or_init(|| value);
        made
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &OnceLock<T>) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}
