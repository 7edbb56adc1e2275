//! The files under test, under the paths that they have in the crate.
#![allow(dead_code)] // each model uses a part

#[path = "../../../src/sync/barrier.rs"]
pub(crate) mod barrier;
pub(crate) mod base;
#[path = "../../../src/sync/condvar.rs"]
pub(crate) mod condvar;
pub(crate) mod mutex;
#[path = "../../../src/sync/poison.rs"]
pub(crate) mod poison;
#[path = "../../../src/sync/semaphore.rs"]
pub(crate) mod semaphore;
