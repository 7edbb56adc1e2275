//! Operations that go by steps: the port takes them, between one readiness and the next.
//!
//! ```text
//!  start ──► step ──► Await: the driver says when the descriptor is ready ──► step ..
//!              ├────► Rest: nobody has it for a moment ─────────────────────► step ..
//!              ├────► Help: a helper does what would block ─────────────────► step ..
//!              └────► Done
//! ```
//! What is given up ends where it is. Only if a helper has just done something it is asked whether that was all: then it is done.

#![allow(unsafe_code)]

use super::{Abort, Drive, Phase};
use crate::operation::{RawOp, Step, is_interrupted};

impl Drive {
    /// The next step of the operation in this slot, which nobody else has now.
    pub(super) fn step(&mut self, slot: u32) {
        let step = self.take_step(slot, None);
        self.go_by(slot, step);
    }

    fn take_step(&mut self, slot: u32, helped: Option<i32>) -> Step {
        // SAFETY: a request in flight is in place.
        let what = unsafe { RawOp::what(self.flights[slot as usize].op) };
        // SAFETY: `submit_raw`'s contract covers it.
        what.steps().map_or(Step::Done(-libc::ENOSYS), |it| unsafe { it.step(helped) })
    }

    fn go_by(&mut self, slot: u32, step: Step) {
        let f = &mut self.flights[slot as usize];
        match step {
            Step::Done(result) => {
                f.phase = Phase::Stepped;
                self.done.push((f.id, result));
            }
            Step::Await(fd, events) => {
                f.phase = Phase::Awaiting;
                // SAFETY: it keeps its descriptors open as long as it is in flight.
                unsafe { self.backend.await_readiness(f.id, fd, events) };
            }
            Step::Rest => {
                let id = f.id;
                self.rest(id);
            }
            Step::Help => self.hand_to_helper(slot),
        }
    }

    /// Somebody is through with it, with this result. `None`: it goes on.
    pub(super) fn after_step(&mut self, slot: u32, result: i32) -> Option<i32> {
        let f = &self.flights[slot as usize];
        let given_up = f.abort.code();
        let step = match f.phase {
            Phase::Stepped => return Some(result),
            Phase::Refused => return Some(given_up.unwrap_or(result)),
            // There is no such descriptor.
            Phase::Awaiting if result < 0 && !is_interrupted(-result) => {
                return Some(given_up.unwrap_or(result));
            }
            // (It has not been begun, and so it was given up.)
            Phase::Helper if result == -libc::ECANCELED && given_up.is_some() => return given_up,
            Phase::Helper => self.take_step(slot, Some(result)),
            _ if f.abort != Abort::No => return given_up,
            _ => self.take_step(slot, None),
        };
        match (step, given_up) {
            (Step::Done(result), _) => return Some(result),
            (_, Some(code)) => return Some(code),
            _ => self.go_by(slot, step),
        }
        None
    }
}
