//! Libraries in C and C++, modules loaded at run time, signals, forks.
//!
//! What the libraries do is in `native/`; the checks here call them from tasks that hop, and say what must come out:
//! the same as on threads.

mod conversions;
mod databases;
mod keys;
mod limits;
mod locales;
mod locals;
mod memory;
mod modules;
mod mutexes;
mod names;
mod objects;
mod processes;
mod signal_stacks;
mod signals;
mod threads;

use crate::check::Check;
use crate::support::{eventually, hop};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Every check of this part.
pub const CHECKS: &[&[Check]] = &[
    locals::CHECKS,
    keys::CHECKS,
    objects::CHECKS,
    mutexes::CHECKS,
    threads::CHECKS,
    modules::CHECKS,
    locales::CHECKS,
    conversions::CHECKS,
    names::CHECKS,
    memory::CHECKS,
    signals::CHECKS,
    signal_stacks::CHECKS,
    processes::CHECKS,
    databases::CHECKS,
    limits::CHECKS,
];

/// A callback for the libraries. One that panics ends the process, with the panic's message.
extern "C" fn hop_in_callback() {
    hop();
}

/// A place where tasks meet: none goes on before all are there, so all are alive at the same time.
struct Meeting {
    expected: usize,
    arrived: AtomicUsize,
}

impl Meeting {
    fn of(expected: usize) -> Meeting {
        Meeting { expected, arrived: AtomicUsize::new(0) }
    }

    fn arrive(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
    }

    fn is_complete(&self) -> bool {
        self.arrived.load(Ordering::Acquire) >= self.expected
    }

    /// Suspends until all have come.
    fn meet(&self) {
        self.arrive();
        eventually(|| self.is_complete());
    }
}
