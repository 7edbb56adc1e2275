//! The file under test, with loom's primitives.
#![allow(dead_code)] // each model uses a part

#[path = "../../../../src/sync/oneshot/core.rs"]
pub(crate) mod core;
