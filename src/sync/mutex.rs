//! [`Mutex`]: std's, for tasks and threads.

use super::base::names::{self, Name};
use super::poison::{Poison, Watched};
use super::raw_mutex::{self, RawMutex};
use crate::twins::{NO_DEADLINE, after, no_point, point};
use lock_api::RawMutex as _;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};
use std::time::Duration;

/// As [`std::sync::Mutex`]: names, poison and meaning are the same. A task that waits for it is suspended, a plain thread is blocked.
///
/// A guard may be held across whatever suspends. A lock that is held for long costs those that wait nothing but time.
///
/// **Who gets it.** Who comes while it is free takes it, even if others wait. One that has waited for half a millisecond, and was passed
/// over, comes before all that come later. So nobody starves.
///
/// **Cancel.** [`lock`](Self::lock) has std's type and is no cancellation point; [`lock_cancellable`](Self::lock_cancellable) is.
///
/// **Fork.** As with std's: who held it in the parent holds it in the child, for good, unless that is the one that has forked.
///
/// ```
/// use event_channel::sync::{Arc, Mutex};
/// use event_channel::{run, task};
///
/// run(|| {
///     let sum = Arc::new(Mutex::new(0));
///     let tasks: Vec<_> = (1..=10).map(|i| {
///         let sum = sum.clone();
///         task::spawn(move || *sum.lock().unwrap() += i)
///     }).collect();
///     tasks.into_iter().for_each(|task| task.join().unwrap());
///     assert_eq!(*sum.lock().unwrap(), 55);
/// });
/// ```
pub struct Mutex<T: ?Sized> {
    poison: Poison,
    inner: lock_api::Mutex<RawMutex, T>,
}

/// The lock of a [`Mutex`] is held as long as this lives.
#[must_use = "the lock is held as long as this lives"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized> {
    // (In this order: poisoned before it is free. A reference to the `Mutex` would keep it from being `Sync` wherever `T` is.)
    watched: Watched<'a>,
    inner: Inner<'a, T>,
}

type Inner<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

// (As std's: a panic poisons it.)
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}
impl<T: ?Sized> UnwindSafe for MutexGuard<'_, T> {}
impl<T: ?Sized> RefUnwindSafe for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { poison: Poison::new(), inner: lock_api::Mutex::const_new(RawMutex::INIT, value) }
    }

    /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
    ///
    /// ```
    /// use event_channel::sync::Mutex;
    ///
    /// static ACCOUNTS: Mutex<Vec<u64>> = Mutex::named(Vec::new(), "accounts");
    /// assert_eq!(ACCOUNTS.name(), Some("accounts"));
    /// ```
    pub const fn named(value: T, name: &'static str) -> Mutex<T> {
        let raw = RawMutex::with_name(Name::new(name));
        Mutex { poison: Poison::new(), inner: lock_api::Mutex::const_new(raw, value) }
    }

    /// What was inside.
    ///
    /// # Errors
    /// It is poisoned; the error has it nevertheless.
    pub fn into_inner(self) -> LockResult<T> {
        let Mutex { poison, inner } = self;
        poison.check(inner.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock: suspends a task, blocks a plain thread. Not a cancellation point.
    ///
    /// Who locks it again while it has it waits for itself, for good.
    ///
    /// # Errors
    /// One that had it has panicked. The lock is held nevertheless, by the guard in the error.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.guard(self.inner.lock())
    }

    /// As [`lock`](Self::lock), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// Of the outer result: the task was [cancelled](crate::Cancelled), or the deadline of a surrounding
    /// [`timeout`](crate::time::timeout) has come; the lock was not taken then. Of the inner one: as [`lock`](Self::lock).
    ///
    /// ```
    /// use event_channel::sync::Mutex;
    /// use event_channel::time::{timeout, Duration};
    /// use std::io::ErrorKind;
    ///
    /// let mutex = Mutex::new(7);
    /// let guard = mutex.lock().unwrap();
    /// let late = timeout(Duration::from_millis(5), || mutex.lock_cancellable().map(|_| ()));
    /// assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    /// drop(guard);
    /// assert_eq!(*mutex.lock_cancellable()?.unwrap(), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn lock_cancellable(&self) -> io::Result<LockResult<MutexGuard<'_, T>>> {
        let inner = point(|is| raw_mutex::acquire(&self.inner, None, is))?;
        Ok(self.guard(inner.expect(NO_DEADLINE)))
    }

    /// As [`lock`](Self::lock), for at most `timeout`. Not a cancellation point.
    ///
    /// # Errors
    /// As [`try_lock`](Self::try_lock): [`WouldBlock`](std::sync::TryLockError::WouldBlock) if somebody else had it all the time.
    ///
    /// ```
    /// use event_channel::sync::Mutex;
    /// use event_channel::time::Duration;
    ///
    /// let mutex = Mutex::new(7);
    /// let guard = mutex.lock().unwrap();
    /// assert!(mutex.lock_timeout(Duration::from_millis(5)).is_err());
    /// ```
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<MutexGuard<'_, T>> {
        self.tried(no_point(|is| raw_mutex::acquire(&self.inner, after(timeout), is)))
    }

    /// As [`lock_timeout`](Self::lock_timeout), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// Of the outer result: as [`lock_cancellable`](Self::lock_cancellable). Of the inner one: as [`lock_timeout`](Self::lock_timeout).
    ///
    /// ```
    /// use event_channel::sync::Mutex;
    /// use event_channel::{is_cancelled, task, time::Duration};
    ///
    /// let mutex = Mutex::new(7);
    /// let guard = mutex.lock().unwrap();
    /// task::scope(|s| {
    ///     let waits = s.spawn(|| mutex.lock_timeout_cancellable(Duration::from_secs(3600)).map(drop));
    ///     waits.cancel();
    ///     assert!(is_cancelled(&waits.join().unwrap().unwrap_err()));
    /// });
    /// ```
    pub fn lock_timeout_cancellable(
        &self,
        timeout: Duration,
    ) -> io::Result<TryLockResult<MutexGuard<'_, T>>> {
        Ok(self.tried(point(|is| raw_mutex::acquire(&self.inner, after(timeout), is))?))
    }

    /// Takes the lock if it is free. Does not wait.
    ///
    /// # Errors
    /// Somebody else has it ([`WouldBlock`](std::sync::TryLockError::WouldBlock)); or, with the guard, one that had it has panicked.
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        self.tried(self.inner.try_lock())
    }

    /// Has one panicked that had it?
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_set()
    }

    /// Takes the mark of the panic back.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// What is inside: nobody else can have it.
    ///
    /// # Errors
    /// As [`into_inner`](Self::into_inner).
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let Mutex { poison, inner } = self;
        poison.check(inner.get_mut())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        raw_mutex::lock_of(&self.inner).name()
    }

    #[inline]
    fn guard<'a>(&'a self, inner: Inner<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.poison.check(MutexGuard::new(&self.poison, inner))
    }

    #[inline]
    fn tried<'a>(&'a self, inner: Option<Inner<'a, T>>) -> TryLockResult<MutexGuard<'a, T>> {
        self.poison.check_try(inner.map(|inner| MutexGuard::new(&self.poison, inner)))
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    #[inline]
    fn new(poison: &'a Poison, inner: Inner<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { watched: poison.watch(), inner }
    }

    /// For a wait without the lock: what is to be dropped then, and who comes back.
    pub(super) fn away(self) -> (Inner<'a, T>, Away<'a, T>) {
        let MutexGuard { watched, inner } = self;
        let away = Away { watched: ManuallyDrop::new(watched), inner: lock_api::MutexGuard::mutex(&inner) };
        (inner, away)
    }
}

/// One who waits without the lock and is to have it again, as std's: the guard is the one from before. So a wait in a destructor leaves no
/// poison; but that guard does, if a panic has begun since it was made.
pub(super) struct Away<'a, T: ?Sized> {
    watched: ManuallyDrop<Watched<'a>>,
    inner: &'a lock_api::Mutex<RawMutex, T>,
}

impl<'a, T: ?Sized> Away<'a, T> {
    /// Waits for the lock.
    ///
    /// # Errors
    /// As [`Mutex::lock`].
    pub(super) fn back(self) -> LockResult<MutexGuard<'a, T>> {
        let Away { watched, inner } = self;
        let poison = watched.poison();
        let watched = ManuallyDrop::into_inner(watched);
        poison.check(MutexGuard { watched, inner: inner.lock() })
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Mutex");
        names::show(self.name(), &mut all);
        match self.try_lock() {
            Ok(guard) => all.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => all.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => all.field("data", &format_args!("<locked>")),
        };
        all.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}
