//! A lock for a few instructions, inside crossings.
//!
//! A thread that has to wait runs nothing of anybody's. It spins, then lets others have the CPU, then naps: a holder of lower priority
//! must get the CPU. parking_lot's locks would enlarge a table of theirs, with the program's allocator. Nothing foreign runs under this
//! lock either: in a debug build it is a [crossing](ec_tasks::Crossing).
//!
//! This file has `unsafe` in it; `tests/run_queue_model.rs` checks it with loom.

#![allow(unsafe_code)]

use crate::sync::{AtomicBool, Crossing, MutPtr, Ordering, UnsafeCell, snooze};
use std::ops::{Deref, DerefMut};

/// See the module.
pub(crate) struct SpinLock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is used by who has taken the lock, one thread at a time.
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    pub(crate) fn new(value: T) -> Self {
        SpinLock { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> SpinGuard<'_, T> {
        let mut turn = 0;
        while self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            snooze(&mut turn);
        }
        let crossing = Crossing::enter("a spin lock");
        SpinGuard { value: Some(self.value.get_mut()), lock: self, _crossing: crossing }
    }
}

/// The lock is held as long as this lives.
pub(crate) struct SpinGuard<'a, T> {
    /// `None` only at the end.
    value: Option<MutPtr<T>>,
    lock: &'a SpinLock<T>,
    _crossing: Crossing,
}

impl<T> SpinGuard<'_, T> {
    #[inline]
    fn place(&self) -> *mut T {
        self.value.as_ref().map_or(std::ptr::null_mut(), |value| value.with(|place| place))
    }
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard has the lock.
        unsafe { &*self.place() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard has the lock, and is borrowed exclusively.
        unsafe { &mut *self.place() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.value = None;
        self.lock.taken.store(false, Ordering::Release);
    }
}
