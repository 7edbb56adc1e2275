//! What the types of [`sync`](crate::sync) stand on: who waits (`waiters.rs`, `list.rs`, `in_line.rs`), a lock (`lock.rs`),
//! the first of several (`first.rs`), one side of a channel (`side.rs`), what is counted (`stock.rs`), where items lie (`queues.rs`), names for dumps
//! (`names.rs`), what the arms of a select are for (`said.rs`).
//!
//! `face.rs` has the primitives. The model tests bring the same names from loom, so the source that ships is what they check
//! (`tests/sync_model`).

pub(crate) mod face;
pub(crate) mod first;
pub(crate) mod in_line;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod names;
mod queues;
pub(crate) mod said;
pub(crate) mod side;
pub(crate) mod stock;
pub(crate) mod waiters;
