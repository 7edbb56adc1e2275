//! The runtime's locks: parking_lot's, which in a debug build are [crossings](crate::Crossing), so that whoever calls foreign
//! code under one is found out.

use crate::crossing::Crossing;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// [`parking_lot::Mutex`]; see the module.
#[derive(Default)]
pub struct Mutex<T: ?Sized>(parking_lot::Mutex<T>);

/// [`parking_lot::MutexGuard`]; see the module.
#[must_use = "the lock is held as long as this lives"]
pub struct MutexGuard<'a, T: ?Sized> {
    // (In this order: the lock is free before the crossing ends.)
    guard: parking_lot::MutexGuard<'a, T>,
    crossing: Option<Crossing>,
}

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Mutex(parking_lot::Mutex::new(value))
    }

    /// What was inside.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock. While it waits an allocator may be called: parking_lot enlarges a table of its own.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard::new(self.0.lock())
    }

    /// The lock, if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().map(MutexGuard::new)
    }

    /// What is inside.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    #[inline]
    fn new(guard: parking_lot::MutexGuard<'a, T>) -> Self {
        MutexGuard { guard, crossing: Some(Crossing::enter("a lock of the runtime's")) }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// [`parking_lot::Condvar`], for [`Mutex`].
#[derive(Default)]
pub struct Condvar(parking_lot::Condvar);

impl Condvar {
    /// One on which nobody waits.
    pub const fn new() -> Self {
        Condvar(parking_lot::Condvar::new())
    }

    /// Waits without the lock until somebody notifies.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.crossing = None;
        self.0.wait(&mut guard.guard);
        guard.crossing = Some(Crossing::enter("a lock of the runtime's"));
    }

    /// As [`wait`](Self::wait), until `end` at the latest. True: that was the end.
    pub fn wait_until<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, end: Instant) -> bool {
        guard.crossing = None;
        let timed_out = self.0.wait_until(&mut guard.guard, end).timed_out();
        guard.crossing = Some(Crossing::enter("a lock of the runtime's"));
        timed_out
    }

    /// Wakes one that waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all that wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
