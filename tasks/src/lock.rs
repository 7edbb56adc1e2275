//! The runtime's locks: std's, without its poison, which in a debug build are [crossings](crate::Crossing), so that whoever calls
//! foreign code under one is found out.
//!
//! std's are futexes and nothing else. parking_lot's would call the allocator, which is the program's: whoever waits for one for the
//! first time, on a thread or in a task with thread-locals of its own, may have to enlarge a table, and does so with all of that
//! table locked. An allocator that spawned a task there, or just met another such lock that is held, would wait for itself.

use crate::crossing::Crossing;
use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};
use std::time::Instant;

/// [`std::sync::Mutex`]; see the module. A panic while it is held does not matter to the next one.
#[derive(Default)]
pub struct Mutex<T: ?Sized>(std::sync::Mutex<T>);

/// [`std::sync::MutexGuard`]; see the module.
#[must_use = "the lock is held as long as this lives"]
pub struct MutexGuard<'a, T: ?Sized> {
    // (In this order: the lock is free before the crossing ends.) `None` only within a wait of `Condvar`.
    guard: Option<std::sync::MutexGuard<'a, T>>,
    crossing: Option<Crossing>,
}

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    /// What was inside.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard::new(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lock, if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard::new(guard)),
            Err(TryLockError::Poisoned(poisoned)) => Some(MutexGuard::new(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What is inside.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    #[inline]
    fn new(guard: std::sync::MutexGuard<'a, T>) -> Self {
        MutexGuard { guard: Some(guard), crossing: Some(Crossing::enter(WHAT)) }
    }

    /// The lock is free while `wait` waits.
    fn without<R>(
        &mut self,
        wait: impl FnOnce(std::sync::MutexGuard<'a, T>) -> (std::sync::MutexGuard<'a, T>, R),
    ) -> R {
        let guard = self.guard.take().expect(HELD);
        self.crossing = None;
        let (guard, result) = wait(guard);
        self.guard = Some(guard);
        self.crossing = Some(Crossing::enter(WHAT));
        result
    }
}

const WHAT: &str = "a lock of the runtime's";
const HELD: &str = "nobody looks while it waits";

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.guard.as_ref().expect(HELD)
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect(HELD)
    }
}

/// [`std::sync::Condvar`], for [`Mutex`].
#[derive(Default)]
pub struct Condvar(std::sync::Condvar);

impl Condvar {
    /// One on which nobody waits.
    pub const fn new() -> Self {
        Condvar(std::sync::Condvar::new())
    }

    /// Waits without the lock until somebody notifies, or for nothing.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.without(|guard| (self.0.wait(guard).unwrap_or_else(PoisonError::into_inner), ()));
    }

    /// As [`wait`](Self::wait), until `end` at the latest. True: that was the end.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        guard.without(|guard| {
            let waited = self.0.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner);
            (waited.0, waited.1.timed_out())
        })
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
