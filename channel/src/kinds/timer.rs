//! A point in time.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::{Body, When};
use crate::events::inside::{Inside, Plain};
use crate::operation::{Carry, Readiness, Verdict};
use crate::events::request::Request;
use io_uring::{opcode, squeue};
use std::time::{Duration, Instant};

/// Completes with 0 when its deadline comes; at once if it has none.
#[derive(Clone, Copy, Debug)]
pub struct Timer;

// SAFETY: it touches nothing.
unsafe impl Carry for Timer {
    fn needs_driver(&self) -> bool {
        false
    }

    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> squeue::Entry {
        opcode::Nop::new().build()
    }

    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        Some(0)
    }

    fn judge(&self, _result: i32) -> Verdict {
        Verdict::Final
    }
}

impl Request {
    /// Completes `after` it was posted: never earlier, and as a rule less than 0.1 ms later.
    pub fn timer(after: Duration) -> Self {
        Self::of(Plain::new(EventKind::Timer as u8)).within(after)
    }

    /// Completes at a point in time; at once if that has passed.
    pub fn timer_at(at: Instant) -> Self {
        let mut body = Body::new(Plain::new(EventKind::Timer as u8));
        body.common.when = When::At(at);
        Self(Inside::Body(body))
    }
}
