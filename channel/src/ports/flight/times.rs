//! What comes with the time: deadlines, timers, and the ends of rests.

#![allow(unsafe_code)]

use super::{Abort, Drive, Finished, Phase, Verdict};
use crate::id::OpId;
use crate::ports::wait::Wait;
use crate::ports::wheel::nanos;
use std::time::{Duration, Instant};

impl Drive {
    /// The request in this slot needs no driver: it is complete when its time comes, or at once.
    #[inline]
    pub(super) fn await_time(&mut self, slot: u32, at: Option<Instant>) {
        let f = &mut self.flights[slot as usize];
        f.phase = Phase::Timer;
        match at {
            Some(at) => self.wheel.insert(slot, nanos(self.base, at)),
            None => self.done.push((f.id, 0)),
        }
    }

    pub(crate) fn expire(&mut self, out: &mut Vec<Finished>) {
        if self.wheel.next().is_some() {
            let now = nanos(self.base, self.backend.now());
            let mut due = std::mem::take(&mut self.due);
            let flights = &self.flights;
            // SAFETY: a request in flight is in place.
            let deadline = |slot: u32| unsafe { (*flights[slot as usize].op).deadline };
            self.wheel.expire(now, |slot| due.push((deadline(slot), slot)));
            // After a stall much is due at once, and the wheel knows no order within a slot of its own.
            due.sort_unstable();
            for (_, slot) in due.drain(..) {
                let f = &self.flights[slot as usize];
                if f.phase == Phase::Timer {
                    self.done.push((f.id, 0));
                } else {
                    self.abort(f.id, Abort::Deadline);
                }
            }
            self.due = due;
        }
        self.end_rests();
        self.ask_for_threads();
        self.settle(out);
    }

    /// The descriptor of this request was ready in vain: it is asked again after a rest.
    pub(super) fn rest(&mut self, id: u64) {
        self.flights[OpId::from_u64(id).slot() as usize].phase = Phase::Resting;
        self.rests.begin(id, self.backend.now());
    }

    fn end_rests(&mut self) {
        if self.rests.next().is_none() {
            return;
        }
        let now = self.backend.now();
        while let Some(id) = self.rests.take_due(now) {
            let f = &self.flights[OpId::from_u64(id).slot() as usize];
            if f.abort != Abort::No {
                if f.phase == Phase::Helper {
                    self.interrupt_helped(id);
                }
                continue;
            }
            // (One that was polled for is polled for again.)
            let verdict = if f.awaited { Verdict::Await } else { Verdict::Again };
            self.once_more(id, verdict);
        }
    }

    pub(crate) fn timeout(&self, wait: Wait) -> Option<Duration> {
        let asked = match wait {
            Wait::No => Some(Duration::ZERO),
            Wait::For(d) => Some(d),
            Wait::Forever => None,
        };
        let mut next = self.wheel.next();
        for due in [self.backend.due(), self.rests.next(), self.next_try()].into_iter().flatten() {
            let due = nanos(self.base, due);
            next = Some(next.map_or(due, |next| next.min(due)));
        }
        let next = next.map(|t| {
            let now = self.backend.now().saturating_duration_since(self.base);
            Duration::from_nanos(t).saturating_sub(now)
        });
        match (asked, next) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
