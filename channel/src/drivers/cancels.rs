//! What a ring is to give up. Each request is asked for again until it has ended: the kernel does not find one that it has in its hands at
//! that moment (between an event and the next attempt, or with a thread of its own).

#![allow(unsafe_code)]

use crate::operation::{OpId, RawOp};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

/// Between two attempts to cancel what the kernel does not find.
const PAUSE: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Default)]
pub(super) struct Cancels {
    /// Those that have not ended yet, by slot.
    begun: HashMap<u32, Begun>,
    /// Those of them that were not found, and when they are asked for again.
    not_found: Vec<u64>,
    ask_again: Option<Instant>,
}

/// A request that is to be given up.
struct Begun {
    id: u64,
    op: *const RawOp,
}

// SAFETY: an operation in flight is used by whoever drives the port.
unsafe impl Send for Begun {}

impl Begun {
    /// What it comes to, if the kernel says `result`. It wakes one of those that wait for a connection, and that may be one that is just
    /// given up. What that was woken for is still there then, and nobody else is told: so it takes it. And what is only asked whether its
    /// descriptor is ready may be given up between that and the answer.
    fn result(&self, result: i32) -> i32 {
        if result != -libc::ECANCELED {
            return result;
        }
        // SAFETY: the request has not been reported, so by `Backend::submit`'s contract all is still valid.
        let last = unsafe {
            let what = RawOp::what(self.op);
            if what.is_attempted_at_last() { what.last_attempt() } else { None }
        };
        last.unwrap_or(result)
    }
}

impl Cancels {
    /// The kernel is asked for request `id`, which was submitted with `op`, and has not been reported.
    pub(super) fn begin(&mut self, id: u64, op: *const RawOp) {
        self.begun.insert(OpId::from_u64(id).slot(), Begun { id, op });
    }

    /// Request `id` has ended, as the kernel says with `result`: what it comes to.
    #[inline]
    pub(super) fn result(&mut self, id: u64, result: i32) -> i32 {
        if !self.begun.is_empty()
            && let Entry::Occupied(begun) = self.begun.entry(OpId::from_u64(id).slot())
            && begun.get().id == id
        {
            return begun.remove().result(result);
        }
        result
    }

    /// The kernel has not found the one in this slot. (It may have ended since.)
    pub(super) fn not_found(&mut self, slot: u32) {
        if let Some(begun) = self.begun.get(&slot) {
            self.not_found.push(begun.id);
            self.ask_again.get_or_insert_with(|| Instant::now() + PAUSE);
        }
    }

    /// When the kernel is to be asked again. `None`: it need not.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ask_again
    }

    /// Those that it is to be asked for again now.
    pub(super) fn take_due(&mut self) -> Vec<u64> {
        if self.ask_again.take_if(|at| *at <= Instant::now()).is_none() {
            return Vec::new();
        }
        let mut due = std::mem::take(&mut self.not_found);
        due.retain(|id| self.begun.get(&OpId::from_u64(*id).slot()).is_some_and(|begun| begun.id == *id));
        due
    }

    /// The ring has failed.
    pub(super) fn ask_no_more(&mut self) {
        (self.ask_again, self.not_found) = (None, Vec::new());
    }
}
