//! The files under test, with loom's primitives.
#![allow(dead_code)] // each model uses a part

#[path = "../../../../src/sync/channel/arms.rs"]
pub(crate) mod arms;
#[path = "../../../../src/sync/channel/core.rs"]
pub(crate) mod core;
#[path = "../../../../src/sync/channel/meeting.rs"]
mod meeting;
