//! How the tasks of a workload come together.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

/// All come in, and go on when it is opened.
#[derive(Default)]
pub struct Gate {
    inside: AtomicUsize,
    open: AtomicBool,
}

impl Gate {
    pub fn enter(&self) {
        self.inside.fetch_add(1, Relaxed);
    }

    pub fn inside(&self) -> usize {
        self.inside.load(Relaxed)
    }

    pub fn open(&self) {
        self.open.store(true, Release);
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Acquire)
    }
}

/// Counts rounds of `n`.
pub struct LastOf {
    n: usize,
    count: AtomicUsize,
}

impl LastOf {
    pub fn new(n: usize) -> LastOf {
        LastOf { n, count: AtomicUsize::new(0) }
    }

    /// Whether the caller is the last of its round.
    pub fn is_me(&self) -> bool {
        (self.count.fetch_add(1, AcqRel) + 1).is_multiple_of(self.n)
    }
}
