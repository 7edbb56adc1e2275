//! What `alarm.rs` stands on. Its model (`tests/alarm_model.rs`) brings the same names from loom. So the source that
//! ships is what is checked.

pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
