//! Poison, as std has it: what was locked for writing while its holder panicked is marked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::thread;

/// The mark.
pub(super) struct Poison(AtomicBool);

/// What the guard of one who may leave something half done has. It is dropped before the lock is free.
pub(super) struct Watched<'a> {
    poison: &'a Poison,
    /// Was its holder panicking before?
    panicking: bool,
}

impl Drop for Watched<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.panicking && thread::panicking() {
            self.poison.0.store(true, Ordering::Relaxed);
        }
    }
}

impl<'a> Watched<'a> {
    pub(super) fn poison(&self) -> &'a Poison {
        self.poison
    }
}

impl Poison {
    pub(super) const fn new() -> Poison {
        Poison(AtomicBool::new(false))
    }

    #[inline]
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn watch(&self) -> Watched<'_> {
        Watched { poison: self, panicking: thread::panicking() }
    }

    /// `guard`, in an error if the mark is set.
    #[inline]
    pub(super) fn check<G>(&self, guard: G) -> LockResult<G> {
        if self.is_set() { Err(PoisonError::new(guard)) } else { Ok(guard) }
    }

    #[inline]
    pub(super) fn check_try<G>(&self, guard: Option<G>) -> TryLockResult<G> {
        let guard = guard.ok_or(TryLockError::WouldBlock)?;
        Ok(self.check(guard)?)
    }
}

/// As [`std::sync::WaitTimeoutResult`], which only std can make: whether a wait ended because its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(super) fn new(timed_out: bool) -> WaitTimeoutResult {
        WaitTimeoutResult(timed_out)
    }

    /// Was its time over?
    pub fn timed_out(&self) -> bool {
        self.0
    }
}
