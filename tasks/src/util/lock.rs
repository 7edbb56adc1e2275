//! The runtime's locks: futexes. In a debug build they are [crossings](crate::Crossing), so that whoever calls foreign
//! code under one is found out.
//!
//! `rustix-futex-sync` has std's algorithm without std's poison. It makes its system calls itself (no `errno` is
//! touched), and calls nothing else.
//!
//! parking_lot's locks would call the allocator, which is the program's. A thread, or a task with thread-locals of its
//! own, that waits for one for the first time may have to enlarge a table. It does so with all of that table locked. An
//! allocator that spawned a task there, or just met another such lock that is held, would wait for itself.

pub use super::fork_lock::{ForkCell, ForkMutex, Forked, Mend};

use super::crossing::Crossing;
use rustix_futex_sync as futex;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// A lock; see the module. A panic while it is held does not matter to the next one. In a forked child it is held for ever if another
/// thread held it: where code of a child may come there is a [`ForkMutex`].
#[derive(Default)]
pub struct Mutex<T: ?Sized>(futex::Mutex<T>);

/// The [`Mutex`] is held as long as this lives.
#[must_use = "the lock is held as long as this lives"]
pub struct MutexGuard<'a, T: ?Sized> {
    // (In this order: the lock is free before the crossing ends.) `None` only within a wait of `Condvar`.
    guard: Option<futex::MutexGuard<'a, T>>,
    crossing: Option<Crossing>,
}

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Mutex(futex::Mutex::new(value))
    }

    /// What was inside.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
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
    fn new(guard: futex::MutexGuard<'a, T>) -> Self {
        MutexGuard { guard: Some(guard), crossing: Some(Crossing::enter(WHAT)) }
    }

    /// The lock is free while `wait` waits.
    fn without<R>(
        &mut self,
        wait: impl FnOnce(futex::MutexGuard<'a, T>) -> (futex::MutexGuard<'a, T>, R),
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

/// To wait on with a [`Mutex`].
#[derive(Default)]
pub struct Condvar(futex::Condvar);

impl Condvar {
    /// One on which nobody waits.
    pub const fn new() -> Self {
        Condvar(futex::Condvar::new())
    }

    /// Waits without the lock until somebody notifies, or for nothing.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.without(|guard| (self.0.wait(guard), ()));
    }

    /// As [`wait`](Self::wait), until `end` at the latest. True: that was the end.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        guard.without(|guard| {
            let (guard, waited) = self.0.wait_timeout(guard, left);
            (guard, waited.timed_out())
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

/// Before the first task of a process. The first wait with a limit looks for a symbol (`dlsym`, in rustix). That clears what dlerror
/// has to tell the thread or the task that waits.
pub(crate) fn prepare() {
    let mutex = Mutex::new(());
    Condvar::new().wait_until(&mut mutex.lock(), Instant::now());
}
