//! What is counted of each core: by the worker that holds it, on a cache line of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One core's counters. Only the worker that holds the core writes them.
#[derive(Default)]
pub(crate) struct CoreStats {
    pub(crate) steals: AtomicU64,
    pub(crate) sleeps: AtomicU64,
    /// Runs of tasks and handlers begun.
    pub(crate) runs: AtomicU64,
    /// Its worker is inside a task or a handler. Only a hint: whether the core can be taken is the lease's to say.
    pub(crate) in_user_code: AtomicBool,
}

/// Adds one to a counter that has a single writer.
pub(crate) fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
