//! A counter with a bell: what signal handlers post, and one who takes. Nobody waits for a lock, so an interrupted thread holds none.
//!
//! While something is due the bell has been rung, or is about to be. Who takes hushes it when nothing is due, and looks once more: what was
//! posted in between may have rung before it was hushed, so then it is rung again.

use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// Once rung it stays so until it is hushed. Neither waits.
pub(crate) trait Bell {
    fn ring(&self);
    fn hush(&self);
}

pub(crate) struct Posts<B> {
    /// Posted, and not taken yet.
    count: AtomicU64,
    /// No more will be posted.
    ended: AtomicBool,
    pub(crate) bell: B,
}

impl<B: Bell> Posts<B> {
    pub(crate) fn new(bell: B) -> Self {
        Posts { count: AtomicU64::new(0), ended: AtomicBool::new(false), bell }
    }

    pub(crate) fn post(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.bell.ring();
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Is there something to take, or the end to be told of? Else the bell will ring. (There is one who asks and takes.)
    pub(crate) fn is_due(&self) -> bool {
        let due = || self.count.load(Ordering::SeqCst) > 0 || self.ended.load(Ordering::SeqCst);
        if due() {
            return true;
        }
        self.bell.hush();
        if due() {
            self.bell.ring();
            return true;
        }
        false
    }

    /// Takes one. False: there is none. (One who does this: it gets no less meanwhile.)
    pub(crate) fn take(&self) -> bool {
        let is_there = self.count.load(Ordering::SeqCst) > 0;
        if is_there {
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
        is_there
    }
}
