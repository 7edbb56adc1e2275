//! What the park word, the join word and the flags of a cancel stand on, in one place, so that the model checks can put loom's here:
//! `tests/park_word_loom.rs`, `tests/join_word_loom.rs` and `pool/tests/interrupt_model.rs` compile the files as they stand against another
//! `sync`.

pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// As loom's: its content is given as a pointer.
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
