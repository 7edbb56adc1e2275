//! Poison, as std has it: what was locked for writing while its holder panicked is marked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::thread;

/// The mark.
pub(super) struct Poison(AtomicBool);

/// What the holder of a guard notes when it begins: was it panicking before?
#[derive(Clone, Copy)]
pub(super) struct Begun {
    panicking: bool,
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
    pub(super) fn begin(&self) -> Begun {
        Begun { panicking: thread::panicking() }
    }

    /// The guard is dropped: has its holder begun to panic since?
    #[inline]
    pub(super) fn end(&self, begun: Begun) {
        if !begun.panicking && thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
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
