//! Streams in flight: what they came to becomes an item, and they are submitted again. See [`stream`](crate::events::stream).

#![allow(unsafe_code)]

use super::{Abort, Drive, Finished, Phase, Verdict};
use crate::events::body::Body;
use crate::events::event::Event;
use crate::id::OpId;
use crate::operation::RawOp;
use crate::ports::wheel::nanos;

impl Drive {
    /// The stream `id` came to `result`, which is no error. An item of it comes; `None`: it goes on, or will. Else it ends with what this
    /// gives.
    pub(super) fn next_item(&mut self, id: u64, result: i32, out: &mut Vec<Finished>) -> Option<i32> {
        let now = self.backend.now();
        let op = OpId::from_u64(id);
        self.rests.forget(id);
        self.awaited.remove(&id);
        let f = &mut self.flights[op.slot() as usize];
        f.awaited = false;
        // SAFETY: it is a stream's, in place, and nobody else uses it: the driver has just given it back.
        let body = unsafe { Body::in_flight(f.op) };
        let item = match body.next_item(op, result, now) {
            Ok(item) => item,
            Err(end) => return Some(end),
        };
        out.push(Finished::Event(Event(item)));
        self.items += 1;
        if let Some(end) = f.abort.code() {
            // Behind the item, and not before its handler has returned.
            return self.end_of_paused(op.slot(), end);
        }
        if body.has_credit() {
            self.go_on(op.slot());
        } else {
            f.phase = Phase::Paused;
            if let Some(limit) = body.limit() {
                self.wheel.remove(op.slot());
                self.wheel.insert(op.slot(), nanos(self.base, limit));
            }
        }
        None
    }

    /// A stream without credit is to end with `code`. `None`: not before the handler of its last item has returned.
    pub(super) fn end_of_paused(&mut self, slot: u32, code: i32) -> Option<i32> {
        let f = &mut self.flights[slot as usize];
        // SAFETY: it is a stream's, in place.
        let body = unsafe { Body::in_flight(f.op) };
        if !body.is_serial() || body.has_credit() || self.closing {
            return Some(code);
        }
        f.phase = Phase::Ending(code);
        None
    }

    /// The time limit of a stream without credit is over. True: it ends.
    pub(super) fn limit_of_paused(&mut self, slot: u32) -> bool {
        let f = &mut self.flights[slot as usize];
        // SAFETY: it is a stream's, in place.
        let body = unsafe { Body::in_flight(f.op) };
        if self.closing || !body.has_credit() && !body.gets_credit() {
            return true;
        }
        f.phase = Phase::Late;
        if body.has_credit() {
            self.come_late(slot);
        }
        false
    }

    /// Over its time limit, with credit: what is due by then comes, or else its end.
    fn come_late(&mut self, slot: u32) {
        let f = &self.flights[slot as usize];
        // SAFETY: it is in place, and nobody else uses it: the driver does not have it.
        let what = unsafe { RawOp::what(f.op) };
        // (Ticks know themselves what is due.)
        let due = match what.needs_driver() {
            // SAFETY: as above; what it points to is valid as long as it is in flight.
            true => unsafe { what.last_attempt() }.filter(|result| *result >= 0),
            false => Some(0),
        };
        self.done.push((f.id, due.unwrap_or(-libc::ETIME)));
    }

    /// It has credit again.
    pub(super) fn resume(&mut self, id: OpId) {
        let slot = id.slot();
        let Some(f) = self.flights.get_mut(slot as usize).filter(|f| f.id == id.as_u64()) else {
            return;
        };
        if !matches!(f.phase, Phase::Paused | Phase::Late | Phase::Ending(_)) {
            return;
        }
        // SAFETY: it is a stream's, in place, and the driver does not have it.
        let body = unsafe { Body::in_flight(f.op) };
        if !body.has_credit() {
            // (It has gone on before this was heard, and has paused again: that is told as well.)
            return;
        }
        match f.phase {
            Phase::Ending(code) => self.done.push((f.id, code)),
            Phase::Late => self.come_late(slot),
            _ if f.abort != Abort::No => {}
            // Nobody has seen yet that it is over its time limit.
            _ if body.limit().is_some_and(|at| at <= self.backend.now()) => {
                self.abort(id.as_u64(), Abort::Deadline);
            }
            _ => self.go_on(slot),
        }
    }

    /// Submits it again.
    fn go_on(&mut self, slot: u32) {
        let f = &self.flights[slot as usize];
        // SAFETY: it is in place, and the driver does not have it.
        let (needs_driver, deadline) = unsafe { (RawOp::what(f.op).needs_driver(), (*f.op).deadline) };
        if needs_driver {
            self.went_on = true;
            return self.once_more(f.id, Verdict::Again);
        }
        // (Its limit, while it was paused.)
        self.wheel.remove(slot);
        self.await_time(slot, deadline);
    }

    /// The channel goes: no handler will return any more.
    pub(crate) fn close_streams(&mut self) {
        self.closing = true;
        for f in &self.flights {
            let end = match f.phase {
                Phase::Ending(code) => code,
                Phase::Late => -libc::ETIME,
                _ => continue,
            };
            if f.id != 0 {
                self.done.push((f.id, end));
            }
        }
    }
}
