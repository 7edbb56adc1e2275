//! [`RwLock`]: std's, for tasks and threads.

use super::base::names::{self, Name};
use super::poison::{Poison, Watched};
use super::raw_rwlock::{self, RawRwLock};
use crate::twins::{NO_DEADLINE, after, no_point, point};
use lock_api::RawRwLock as _;
use std::fmt;
use std::io;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};
use std::time::Duration;

/// As [`std::sync::RwLock`]: many may read at the same time, or one may write. Names, poison and meaning are the same. A task that waits
/// for it is suspended, a plain thread is blocked.
///
/// Guards may be held across whatever suspends.
///
/// **First come, first served.** Who comes to read waits behind those that wait already to write. So neither readers nor writers starve.
/// (Who reads, and comes to read once more before he has let go, may therefore wait for a writer that waits for him: for good, as with
/// std's.)
///
/// **Cancel.** [`read`](Self::read) and [`write`](Self::write) have std's types and are no cancellation points;
/// [`read_cancellable`](Self::read_cancellable) and [`write_cancellable`](Self::write_cancellable) are.
///
/// **Fork.** As with std's: who held it in the parent holds it in the child, for good, unless that is the one that has forked.
///
/// ```
/// use event_channel::sync::{Arc, RwLock};
/// use event_channel::{run, task};
///
/// run(|| {
///     let limits = Arc::new(RwLock::new(vec![1, 2, 3]));
///     let readers: Vec<_> = (0..3).map(|i| {
///         let limits = limits.clone();
///         task::spawn(move || limits.read().unwrap()[i])
///     }).collect();
///     let sum: i32 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
///     limits.write().unwrap().push(sum);
///     assert_eq!(*limits.read().unwrap(), [1, 2, 3, 6]);
/// });
/// ```
pub struct RwLock<T: ?Sized> {
    poison: Poison,
    inner: lock_api::RwLock<RawRwLock, T>,
}

/// A [`RwLock`] is held for reading as long as this lives.
#[must_use = "the lock is held as long as this lives"]
#[clippy::has_significant_drop]
pub struct RwLockReadGuard<'a, T: ?Sized>(lock_api::RwLockReadGuard<'a, RawRwLock, T>);

/// A [`RwLock`] is held for writing as long as this lives.
#[must_use = "the lock is held as long as this lives"]
#[clippy::has_significant_drop]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    // (In this order: poisoned before it is free.)
    watched: Watched<'a>,
    inner: lock_api::RwLockWriteGuard<'a, RawRwLock, T>,
}

// (As std's: a panic poisons it.)
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}
impl<T: ?Sized + RefUnwindSafe> UnwindSafe for RwLockReadGuard<'_, T> {}
impl<T: ?Sized + RefUnwindSafe> RefUnwindSafe for RwLockReadGuard<'_, T> {}
impl<T: ?Sized> UnwindSafe for RwLockWriteGuard<'_, T> {}
impl<T: ?Sized> RefUnwindSafe for RwLockWriteGuard<'_, T> {}

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { poison: Poison::new(), inner: lock_api::RwLock::const_new(RawRwLock::INIT, value) }
    }

    /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
    ///
    /// ```
    /// use event_channel::sync::RwLock;
    ///
    /// static ROUTES: RwLock<Vec<String>> = RwLock::named(Vec::new(), "routes");
    /// assert_eq!(ROUTES.name(), Some("routes"));
    /// ```
    pub const fn named(value: T, name: &'static str) -> RwLock<T> {
        let raw = RawRwLock::with_name(Name::new(name));
        RwLock { poison: Poison::new(), inner: lock_api::RwLock::const_new(raw, value) }
    }

    /// What was inside.
    ///
    /// # Errors
    /// It is poisoned; the error has it nevertheless.
    pub fn into_inner(self) -> LockResult<T> {
        let RwLock { poison, inner } = self;
        poison.check(inner.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits to read: suspends a task, blocks a plain thread. Not a cancellation point.
    ///
    /// # Errors
    /// One that wrote has panicked. The lock is held nevertheless, by the guard in the error.
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.poison.check(RwLockReadGuard(self.inner.read()))
    }

    /// As [`read`](Self::read), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// Of the outer result: the task was [cancelled](crate::Cancelled), or the deadline of a surrounding
    /// [`timeout`](crate::time::timeout) has come; the lock was not taken then. Of the inner one: as [`read`](Self::read).
    ///
    /// ```
    /// use event_channel::sync::RwLock;
    /// use event_channel::time::{timeout, Duration};
    /// use std::io::ErrorKind;
    ///
    /// let lock = RwLock::new(7);
    /// let guard = lock.write().unwrap();
    /// let late = timeout(Duration::from_millis(5), || lock.read_cancellable().map(|_| ()));
    /// assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    /// drop(guard);
    /// assert_eq!(*lock.read_cancellable()?.unwrap(), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_cancellable(&self) -> io::Result<LockResult<RwLockReadGuard<'_, T>>> {
        let inner = point(|is| raw_rwlock::read(&self.inner, None, is))?;
        Ok(self.poison.check(RwLockReadGuard(inner.expect(NO_DEADLINE))))
    }

    /// As [`read`](Self::read), for at most `timeout`. Not a cancellation point.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read): [`WouldBlock`](std::sync::TryLockError::WouldBlock) if its time is over.
    pub fn read_timeout(&self, timeout: Duration) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let inner = no_point(|is| raw_rwlock::read(&self.inner, after(timeout), is));
        self.poison.check_try(inner.map(RwLockReadGuard))
    }

    /// As [`read_timeout`](Self::read_timeout), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// Of the outer result: as [`read_cancellable`](Self::read_cancellable). Of the inner one: as [`read_timeout`](Self::read_timeout).
    pub fn read_timeout_cancellable(
        &self,
        timeout: Duration,
    ) -> io::Result<TryLockResult<RwLockReadGuard<'_, T>>> {
        let inner = point(|is| raw_rwlock::read(&self.inner, after(timeout), is))?;
        Ok(self.poison.check_try(inner.map(RwLockReadGuard)))
    }

    /// Takes the lock for reading, if nobody writes and nobody waits. Does not wait.
    ///
    /// # Errors
    /// It cannot be had at once ([`WouldBlock`](std::sync::TryLockError::WouldBlock)); or, with the guard, one that wrote has panicked.
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        self.poison.check_try(self.inner.try_read().map(RwLockReadGuard))
    }

    /// Waits to write: suspends a task, blocks a plain thread. Not a cancellation point.
    ///
    /// Who has it already, for reading or writing, waits for itself, for good.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.poison.check(self.writes(self.inner.write()))
    }

    /// As [`write`](Self::write), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// As [`read_cancellable`](Self::read_cancellable).
    pub fn write_cancellable(&self) -> io::Result<LockResult<RwLockWriteGuard<'_, T>>> {
        let inner = point(|is| raw_rwlock::write(&self.inner, None, is))?;
        Ok(self.poison.check(self.writes(inner.expect(NO_DEADLINE))))
    }

    /// As [`write`](Self::write), for at most `timeout`. Not a cancellation point.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write): [`WouldBlock`](std::sync::TryLockError::WouldBlock) if its time is over.
    ///
    /// ```
    /// use event_channel::sync::RwLock;
    /// use event_channel::time::Duration;
    ///
    /// let lock = RwLock::new(7);
    /// let guard = lock.read().unwrap();
    /// assert!(lock.write_timeout(Duration::from_millis(5)).is_err());
    /// assert!(lock.try_read().is_ok(), "who has given up is in nobody's way");
    /// ```
    pub fn write_timeout(&self, timeout: Duration) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let inner = no_point(|is| raw_rwlock::write(&self.inner, after(timeout), is));
        self.poison.check_try(inner.map(|inner| self.writes(inner)))
    }

    /// As [`write_timeout`](Self::write_timeout), and a cancellation point if it has to wait.
    ///
    /// # Errors
    /// Of the outer result: as [`write_cancellable`](Self::write_cancellable). Of the inner one: as [`write_timeout`](Self::write_timeout).
    ///
    /// ```
    /// use event_channel::sync::RwLock;
    /// use event_channel::{is_cancelled, task, time::Duration};
    ///
    /// let lock = RwLock::new(7);
    /// let guard = lock.read().unwrap();
    /// task::scope(|s| {
    ///     let waits = s.spawn(|| lock.write_timeout_cancellable(Duration::from_secs(3600)).map(drop));
    ///     waits.cancel();
    ///     assert!(is_cancelled(&waits.join().unwrap().unwrap_err()));
    /// });
    /// assert!(lock.try_read().is_ok(), "who has given up is in nobody's way");
    /// ```
    pub fn write_timeout_cancellable(
        &self,
        timeout: Duration,
    ) -> io::Result<TryLockResult<RwLockWriteGuard<'_, T>>> {
        let inner = point(|is| raw_rwlock::write(&self.inner, after(timeout), is))?;
        Ok(self.poison.check_try(inner.map(|inner| self.writes(inner))))
    }

    /// Takes the lock for writing if it is free. Does not wait.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        self.poison.check_try(self.inner.try_write().map(|inner| self.writes(inner)))
    }

    /// Has one panicked that wrote?
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
        let RwLock { poison, inner } = self;
        poison.check(inner.get_mut())
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        raw_rwlock::lock_of(&self.inner).name()
    }

    #[inline]
    fn writes<'a>(&'a self, inner: lock_api::RwLockWriteGuard<'a, RawRwLock, T>) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard { watched: self.poison.watch(), inner }
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Who has written reads from here on. Nobody writes between. Never blocks.
    ///
    /// ```
    /// use event_channel::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writes = lock.write().unwrap();
    /// *writes += 1;
    /// let reads = RwLockWriteGuard::downgrade(writes);
    /// assert_eq!(*lock.read().unwrap(), 2); // others may read, too
    /// assert_eq!(*reads, 2);
    /// ```
    pub fn downgrade(s: Self) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { watched, inner } = s;
        // (Also while it unwinds, as std's: it is not the end of the guard.)
        mem::forget(watched);
        RwLockReadGuard(lock_api::RwLockWriteGuard::downgrade(inner))
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("RwLock");
        names::show(self.name(), &mut all);
        match self.try_read() {
            Ok(guard) => all.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => all.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => all.field("data", &format_args!("<locked>")),
        };
        all.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}
