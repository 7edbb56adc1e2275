//! [`LazyLock`]: std's, for tasks and threads.

use super::base::face::{ForkMutex, Forked, Stop};
use super::once_lock::OnceLock;
use crate::twins::{no_point, point};
use std::fmt;
use std::io;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// As [`std::sync::LazyLock`]: a value that is made when it is first used. Whoever comes while another one makes it waits: a task is
/// suspended, a plain thread is blocked.
///
/// Names, poison and meaning are std's: what makes the value is called once, and if it panics nobody ever gets one. It may suspend. If it
/// never comes to its end, others wait for good: see [`Once`](super::Once).
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
    value: OnceLock<T>,
    /// Until it is called. Only the one takes it out who is to make the value: nobody waits for this lock.
    init: ForkMutex<Init<F>>,
}

struct Init<F>(Option<F>);

impl<F> Forked for Init<F> {
    /// Whoever was taking it was to call it.
    fn left_half() -> Self {
        Init(None)
    }
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
        LazyLock { value: OnceLock::new(), init: ForkMutex::new(Init(Some(f))) }
    }

    /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
    pub const fn named(f: F, name: &'static str) -> LazyLock<T, F> {
        LazyLock { value: OnceLock::named(name), init: ForkMutex::new(Init(Some(f))) }
    }

    /// The value, which is made now if it was not before. Not a cancellation point.
    ///
    /// # Panics
    /// What makes it panics, or has before.
    #[inline]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        match this.value.get() {
            Some(value) => value,
            None => no_point(|is| this.make(is)),
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
        match this.value.get() {
            Some(value) => Ok(value),
            None => point(|is| this.make(is)),
        }
    }

    fn make(&self, point: bool) -> Result<&T, Stop> {
        self.value.make(point, || {
            let init = self.init.lock().0.take();
            // (It was called, and has panicked. The words are std's.)
            let Some(f) = init else { panic!("LazyLock instance has previously been poisoned") };
            f()
        })
    }
}

impl<T, F> LazyLock<T, F> {
    /// The name that it was made with.
    pub fn name(this: &LazyLock<T, F>) -> Option<&'static str> {
        this.value.name()
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
        match self.value.get() {
            Some(value) => all.field(value),
            None => all.field(&format_args!("<uninit>")),
        };
        all.finish()
    }
}
