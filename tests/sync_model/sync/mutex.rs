//! What a `Condvar` asks of a `Mutex`, on the lock that ships: nothing is inside, and nothing is poisoned. (`lock_api`'s want to be made
//! by a constant.)

use super::base::lock::Lock;
use super::base::names::Name;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::LockResult;

pub(crate) struct Mutex<T> {
    lock: Lock,
    value: loom::cell::UnsafeCell<T>,
}

// SAFETY: as std's: what is inside is reached by the one that has the lock.
unsafe impl<T: Send> Sync for Mutex<T> {}

pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    not_send: PhantomData<*const ()>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex { lock: Lock::new(Name::none()), value: loom::cell::UnsafeCell::new(value) }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let _ = self.lock.acquire(None, false);
        Ok(MutexGuard { mutex: self, not_send: PhantomData })
    }
}

impl<'a, T> MutexGuard<'a, T> {
    pub(crate) fn away(self) -> (Self, Away<'a, T>) {
        let mutex = self.mutex;
        (self, Away(mutex))
    }
}

pub(crate) struct Away<'a, T>(&'a Mutex<T>);

impl<'a, T> Away<'a, T> {
    pub(crate) fn back(self) -> LockResult<MutexGuard<'a, T>> {
        self.0.lock()
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.lock.release();
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held; loom watches.
        self.mutex.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        self.mutex.value.with_mut(|value| unsafe { &mut *value })
    }
}
