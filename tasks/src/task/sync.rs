//! The atomics of the park word and of the flags of a cancel, in one place, so that the model checks can put loom's here:
//! `tests/park_word_loom.rs` compiles `park_word.rs` as it stands against another `sync`.

pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
