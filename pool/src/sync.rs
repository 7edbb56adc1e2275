//! The few primitives that `idle.rs` stands on. The model test brings the same names from loom,
//! so that the production source itself is what is checked (`tests/idle_model.rs`).

pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
