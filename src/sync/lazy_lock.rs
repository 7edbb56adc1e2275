//! [`LazyLock`]: std's, for tasks and threads.

use super::base::face::{Mutex, Stop};
use super::once::Once;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::OnceLock as Cell;

/// As [`std::sync::LazyLock`]: a value that is made when it is first used. Whoever comes while another one makes it waits: a task is
/// suspended, a plain thread is blocked.
///
/// Names, poison and meaning are std's: what makes the value is called once, and if it panics nobody ever gets one. It may suspend. If it
/// never comes to its end, others wait for good: see [`Once`].
///
/// ```
/// use event_channel::sync::{LazyLock, Mutex};
///
/// static SEEN: LazyLock<Mutex<Vec<u32>>> = LazyLock::new(|| Mutex::new(vec![1]));
///
/// SEEN.lock().unwrap().push(2);
/// assert_eq!(*SEEN.lock().unwrap(), [1, 2]);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    cell: Cell<T>,
    /// Until it is called. Only the one takes it out that [`Once`] lets: nobody waits for this lock.
    init: Mutex<Option<F>>,
}

// (As std's.)
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F> LazyLock<T, F>
where
    F: FnOnce() -> T,
{
    /// One whose value `f` makes.
    pub const fn new(f: F) -> LazyLock<T, F> {
        LazyLock { once: Once::new(), cell: Cell::new(), init: Mutex::new(Some(f)) }
    }

    /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
    pub const fn named(f: F, name: &'static str) -> LazyLock<T, F> {
        LazyLock { once: Once::named(name), cell: Cell::new(), init: Mutex::new(Some(f)) }
    }

    /// The value, which is made now if it was not before. Not a cancellation point.
    ///
    /// # Panics
    /// What makes it panics, or has before.
    #[inline]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        match this.cell.get() {
            Some(value) => value,
            None => {
                // Not a point: it does not stop.
                let _ = this.make(false);
                this.made()
            }
        }
    }

    /// As [`force`](Self::force), and a cancellation point if it has to wait for another one.
    ///
    /// # Errors
    /// The task was [cancelled](crate::Cancelled), or the deadline of a surrounding [`timeout`](crate::time::timeout) has come.
    ///
    /// # Panics
    /// As [`force`](Self::force).
    pub fn force_cancellable(this: &LazyLock<T, F>) -> io::Result<&T> {
        if this.cell.get().is_none() {
            this.make(true).map_err(Stop::deliver)?;
        }
        Ok(this.made())
    }

    #[cold]
    fn make(&self, point: bool) -> Result<(), Stop> {
        self.once.call(false, point, |_| {
            let f = self.init.lock().take().expect("it is called once");
            let value = f();
            // (Nobody else sets it.)
            let _ = self.cell.set(value);
        })
    }

    fn made(&self) -> &T {
        self.cell.get().expect("it was made before that was said")
    }
}

impl<T, F> LazyLock<T, F> {
    /// The name that it was made with.
    pub fn name(this: &LazyLock<T, F>) -> Option<&'static str> {
        this.once.name()
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    /// As [`force`](Self::force).
    #[inline]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    /// One whose value is the default one.
    fn default() -> LazyLock<T> {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_tuple("LazyLock");
        match self.cell.get() {
            Some(value) => all.field(value),
            None => all.field(&format_args!("<uninit>")),
        };
        all.finish()
    }
}
