//! What `alarm.rs` and `posts.rs` stand on. Their models (`tests/*_model.rs`) bring the same names from loom. So the source that
//! ships is what is checked.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
