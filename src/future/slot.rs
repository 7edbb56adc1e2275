//! Where the waker of somebody else's executor lies until what it waits for is there.
//!
//! A waker is the program's code: it is cloned, woken and dropped under no lock, and what it panics with stays here.
//!
//! This file has `unsafe` in it: the contract of `ec_tasks::Watcher`.

use ec_channel::helpers::{HELPERS, Here, Job};
use ec_tasks::Watcher;
use ec_tasks::lock::{ForkMutex, Forked};
use std::io;
use std::sync::Arc;
use std::task::Waker;

/// See the module.
#[derive(Default)]
pub(crate) struct WakerSlot(ForkMutex<Place>);

#[derive(Default)]
struct Place(Option<Waker>);

impl Forked for Place {
    /// Whoever was to be woken is of the parent.
    fn left_half() -> Self {
        Place(None)
    }
}

impl WakerSlot {
    /// This one is to be woken, and the one before is not any more. Who is to be told looks afterwards whether it is there already.
    pub(crate) fn set(&self, waker: &Waker) {
        // (Which compares two pointers.)
        if self.0.lock().0.as_ref().is_some_and(|before| before.will_wake(waker)) {
            return;
        }
        let new = waker.clone();
        let before = self.0.lock().0.replace(new);
        ec_tasks::drop_quietly(before);
    }

    /// It is there: wakes whoever waits, once.
    pub(crate) fn wake(&self) {
        let waker = self.0.lock().0.take();
        if let Some(waker) = waker {
            ec_tasks::catch_quietly(|| ec_tasks::keeping_float_control(|| waker.wake()));
        }
    }
}

impl Drop for WakerSlot {
    fn drop(&mut self) {
        ec_tasks::drop_quietly(self.0.get_mut().0.take());
    }
}

// SAFETY: it calls the program's waker only where that may be, or has it called on a thread of the process's.
unsafe impl Watcher for WakerSlot {
    fn ended(self: Arc<Self>, _: u32, foreign: bool) {
        if foreign {
            self.wake();
        } else {
            HELPERS.submit(self);
        }
    }
}

impl Job for WakerSlot {
    fn run(&self, _here: &Here) {
        self.wake();
    }

    fn refused(&self, _why: &io::Error) {
        // Better here than never.
        self.wake();
    }
}
