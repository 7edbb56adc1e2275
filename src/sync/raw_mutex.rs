//! [`RawMutex`]: our lock under the traits of `lock_api`.
//!
//! This file has `unsafe` in it: those traits.

#![allow(unsafe_code)]

use super::base::face::{Instant, Stop};
use super::base::lock::Lock;
use super::base::names::Name;
use crate::twins::after;
use std::time::Duration;

/// The lock of a [`sync::Mutex`](super::Mutex) by itself, for what is generic over [`lock_api::RawMutex`]. A task that waits for it is
/// suspended, a plain thread blocked.
///
/// ```
/// use event_channel::sync::{RawMutex, lock_api};
///
/// static COUNT: lock_api::Mutex<RawMutex, u32> = lock_api::Mutex::new(1);
/// *COUNT.lock() += 1;
/// assert_eq!(*COUNT.lock(), 2);
/// ```
pub struct RawMutex(Lock);

impl RawMutex {
    pub(super) const fn with_name(name: Name) -> RawMutex {
        RawMutex(Lock::new(name))
    }
}

/// The lock of `mutex`.
pub(super) fn lock_of<T: ?Sized>(mutex: &lock_api::Mutex<RawMutex, T>) -> &Lock {
    // SAFETY: nobody in this crate releases a lock that is not his.
    &unsafe { mutex.raw() }.0
}

/// Waits for `mutex`, as [`Lock::acquire`]; `None`: until `deadline`, in vain.
pub(super) fn acquire<T: ?Sized>(
    mutex: &lock_api::Mutex<RawMutex, T>,
    deadline: Option<Instant>,
    point: bool,
) -> Result<Option<lock_api::MutexGuard<'_, RawMutex, T>>, Stop> {
    let acquired = lock_of(mutex).acquire(deadline, point)?;
    // SAFETY: it is held from here on, and nobody else has a guard for that.
    Ok(acquired.then(|| unsafe { mutex.make_guard_unchecked() }))
}

// SAFETY: whoever gets `true` of `acquire` or `try_acquire` has set HELD, which only `release` takes back: one at a time.
unsafe impl lock_api::RawMutex for RawMutex {
    // (To a plain thread it is a lock, to a task as well, and a task is a thread to the language.)
    type GuardMarker = lock_api::GuardNoSend;

    #[allow(clippy::declare_interior_mutable_const)] // what the trait asks for
    const INIT: RawMutex = RawMutex::with_name(Name::none());

    #[inline]
    fn lock(&self) {
        // Without a deadline, and no point: it returns with the lock.
        let _ = self.0.acquire(None, false);
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.0.try_acquire()
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.0.release();
    }

    fn is_locked(&self) -> bool {
        self.0.is_held()
    }
}

// SAFETY: `true` is given by those that have set HELD.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.0.acquire(after(timeout), false).is_ok_and(|got| got)
    }

    fn try_lock_until(&self, timeout: Instant) -> bool {
        self.0.acquire(Some(timeout), false).is_ok_and(|got| got)
    }
}
