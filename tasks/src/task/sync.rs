//! The atomics of the park word, in one place, so that the model check can put loom's here:
//! `tests/park_word_loom.rs` compiles `park_word.rs` as it stands against another `sync`.

pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
