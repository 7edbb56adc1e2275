//! [`RawRwLock`]: our lock for readers and writers under the traits of `lock_api`.
//!
//! This file has `unsafe` in it: those traits.

#![allow(unsafe_code)]

use super::base::face::{Instant, Stop, WaitKind};
use super::base::names::{self, Name};
use super::base::stock::{MOST, Stock};
use super::base::waiters::How;
use crate::twins::after;
use lock_api::{RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

static RWLOCK: WaitKind = WaitKind { name: "rwlock", cancel: None, describe: names::describe };

/// Who reads has one of so many, who writes has all of them.
const ALL: usize = MOST;
const TO_READ: usize = 1;
const TO_WRITE: usize = ALL;

/// The lock of a [`sync::RwLock`](super::RwLock) by itself, for what is generic over [`lock_api::RawRwLock`]. A task that waits for it is
/// suspended, a plain thread blocked.
///
/// ```
/// use event_channel::sync::{RawRwLock, lock_api};
///
/// static LIMITS: lock_api::RwLock<RawRwLock, u32> = lock_api::RwLock::new(1);
/// *LIMITS.write() += 1;
/// assert_eq!((*LIMITS.read(), *LIMITS.read()), (2, 2));
/// ```
pub struct RawRwLock {
    stock: Stock,
    name: Name,
}

impl RawRwLock {
    pub(super) const fn with_name(name: Name) -> RawRwLock {
        RawRwLock { stock: Stock::new(ALL), name }
    }

    pub(super) fn name(&self) -> Option<&'static str> {
        self.name.text()
    }

    /// Waits for it; `Ok(false)`: until `deadline`, in vain. With `point` it is a cancellation point, if it has to wait.
    #[inline]
    fn acquire(&self, wants: usize, deadline: Option<Instant>, point: bool) -> Result<bool, Stop> {
        self.stock.take(wants, || How { deadline, point, ..How::new(&RWLOCK, self.name.detail(self)) })
    }

    /// By who has so many.
    #[inline]
    fn release(&self, had: usize) {
        // (There never were more.)
        self.stock.add(had);
    }
}

/// The lock of `lock`.
pub(super) fn lock_of<T: ?Sized>(lock: &lock_api::RwLock<RawRwLock, T>) -> &RawRwLock {
    // SAFETY: nobody in this crate releases a lock that is not his.
    unsafe { lock.raw() }
}

/// Waits to read, as [`RawRwLock::acquire`]; `None`: until `deadline`, in vain.
pub(super) fn read<T: ?Sized>(
    lock: &lock_api::RwLock<RawRwLock, T>,
    deadline: Option<Instant>,
    point: bool,
) -> Result<Option<RwLockReadGuard<'_, RawRwLock, T>>, Stop> {
    let acquired = lock_of(lock).acquire(TO_READ, deadline, point)?;
    // SAFETY: it is held so from here on, and nobody else has a guard for that.
    Ok(acquired.then(|| unsafe { lock.make_read_guard_unchecked() }))
}

/// Waits to write, as [`RawRwLock::acquire`]; `None`: until `deadline`, in vain.
pub(super) fn write<T: ?Sized>(
    lock: &lock_api::RwLock<RawRwLock, T>,
    deadline: Option<Instant>,
    point: bool,
) -> Result<Option<RwLockWriteGuard<'_, RawRwLock, T>>, Stop> {
    let acquired = lock_of(lock).acquire(TO_WRITE, deadline, point)?;
    // SAFETY: it is held so from here on, and nobody else has a guard for that.
    Ok(acquired.then(|| unsafe { lock.make_write_guard_unchecked() }))
}

// SAFETY: who gets `true` for writing has taken all that there is, who gets it for reading has taken one; only the release of the same
// brings that back.
unsafe impl lock_api::RawRwLock for RawRwLock {
    // (To a plain thread it is a lock, to a task as well, and a task is a thread to the language.)
    type GuardMarker = lock_api::GuardNoSend;

    #[allow(clippy::declare_interior_mutable_const)] // what the trait asks for
    const INIT: RawRwLock = RawRwLock::with_name(Name::none());

    #[inline]
    fn lock_shared(&self) {
        // Without a deadline, and no point: it returns with the lock.
        let _ = self.acquire(TO_READ, None, false);
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.stock.try_take(TO_READ)
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        self.release(TO_READ);
    }

    #[inline]
    fn lock_exclusive(&self) {
        let _ = self.acquire(TO_WRITE, None, false);
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.stock.try_take(TO_WRITE)
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        self.release(TO_WRITE);
    }

    fn is_locked(&self) -> bool {
        self.stock.there() < ALL
    }

    fn is_locked_exclusive(&self) -> bool {
        self.stock.there() == 0
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        self.acquire(TO_READ, after(timeout), false).is_ok_and(|got| got)
    }

    fn try_lock_shared_until(&self, timeout: Instant) -> bool {
        self.acquire(TO_READ, Some(timeout), false).is_ok_and(|got| got)
    }

    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        self.acquire(TO_WRITE, after(timeout), false).is_ok_and(|got| got)
    }

    fn try_lock_exclusive_until(&self, timeout: Instant) -> bool {
        self.acquire(TO_WRITE, Some(timeout), false).is_ok_and(|got| got)
    }
}

// SAFETY: it keeps one, so nobody can have all.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        self.release(TO_WRITE - TO_READ);
    }
}
