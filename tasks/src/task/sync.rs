//! The atomics of the park word and the join word, in one place, so that the model checks can put loom's here:
//! `tests/park_word_loom.rs` compiles `park_word.rs` as it stands against another `sync`, and `tests/join_word_loom.rs` `join_word.rs`.

use std::cell;
pub(crate) use std::sync::atomic::{AtomicU32, Ordering};

/// [`std::cell::UnsafeCell`], with loom's names.
pub(crate) struct UnsafeCell<T>(cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(cell::UnsafeCell::new(value))
    }

    /// Calls `f` with where it is.
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
