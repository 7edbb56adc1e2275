//! What `alarm.rs`, `occurrences.rs`, `posts.rs`, `pot.rs`, `queue.rs`, `ring.rs`, `sleeping.rs`, `visits.rs` and `shm/lane.rs` stand on. Their
//! models (`tests/*_model.rs`) bring the same names from loom. So the source that ships is what is checked.

pub(crate) use crossbeam::utils::Backoff;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// Places of a block of the queue. (So that a lap is a power of two. In the model they are few.)
pub(crate) const SLOTS: usize = 31;

/// As loom's: its content is given as a pointer.
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
