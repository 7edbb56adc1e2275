//! What the queue stands on, from loom.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, Ordering, fence};
use std::cell::Cell;

/// Loom tries a step of one thread before what another one has loaded, if it writes there, but not if it has loaded from there itself
/// before: as an exchange has. So where it matters a load counts as a step that writes.
pub(crate) struct AtomicUsize {
    it: loom::sync::atomic::AtomicUsize,
    looks: loom::sync::atomic::AtomicUsize,
}

thread_local! {
    /// (Loom's threads are one thread.)
    pub(crate) static LOOKS_COUNT: Cell<bool> = const { Cell::new(false) };
}

impl AtomicUsize {
    pub(crate) fn new(value: usize) -> Self {
        let [it, looks] = [value, 0].map(loom::sync::atomic::AtomicUsize::new);
        AtomicUsize { it, looks }
    }

    pub(crate) fn load(&self, order: Ordering) -> usize {
        if LOOKS_COUNT.get() {
            self.looks.fetch_add(1, Ordering::Relaxed);
        }
        self.it.load(order)
    }
}

impl std::ops::Deref for AtomicUsize {
    type Target = loom::sync::atomic::AtomicUsize;

    fn deref(&self) -> &Self::Target {
        &self.it
    }
}

pub(crate) const SLOTS: usize = 2;

/// Goes with its block: which is given to the allocator then. (Loom sees one that is lost.)
pub(crate) struct UnsafeCell<T> {
    cell: loom::cell::UnsafeCell<T>,
    _goes: loom::alloc::Track<()>,
}

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        UnsafeCell { cell: loom::cell::UnsafeCell::new(value), _goes: loom::alloc::Track::new(()) }
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        self.cell.with(f)
    }

    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        self.cell.with_mut(f)
    }
}

impl<T> Drop for UnsafeCell<T> {
    fn drop(&mut self) {
        crate::allocator_is_called();
    }
}

pub(crate) struct Backoff;

impl Backoff {
    pub(crate) fn new() -> Self {
        Backoff
    }

    /// (Whoever yields sees no value any more, in loom, that is older than what he has seen. Here others are through: nobody is to
    /// be waited for.)
    pub(crate) fn spin(&self) {}

    pub(crate) fn snooze(&self) {
        loom::thread::yield_now();
    }
}
