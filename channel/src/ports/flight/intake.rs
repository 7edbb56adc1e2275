//! What was posted, or cancelled, is taken in.

#![allow(unsafe_code)]

use super::{Abort, Drive, Flight};
use crate::id::OpId;
use crate::lock::Mutex;
use crate::operation::{Owner, RawOp};
use crate::ports::inbox::{Message, PortShared};
use crate::ports::wheel::nanos;

/// So many posts and cancels are taken in by one pass: what comes of them is settled while it is still in the CPU's cache, and nobody
/// waits for more than that.
const IN_ONE_PASS: usize = 1024;

impl Drive {
    /// Takes the inbox in, as far as it goes in one pass.
    pub(crate) fn take_in(&mut self, shared: &Mutex<PortShared>) {
        if !self.is_behind() {
            self.messages.clear();
            self.looked_at = 0;
            std::mem::swap(&mut self.messages, &mut shared.lock().inbox);
        }
        // (One look at the clock for all events among them.)
        let mut now = None;
        // Strictly in order: a cancel that is looked at before its request was started would be forgotten.
        let end = self.messages.len().min(self.looked_at + IN_ONE_PASS);
        while self.looked_at < end {
            let message = self.messages[self.looked_at];
            self.looked_at += 1;
            match message {
                Message::Submit(id, op) => {
                    // SAFETY: a request in flight is in place.
                    let since = match unsafe { (*op).owner } {
                        Owner::Somebody => 0,
                        _ => *now.get_or_insert_with(|| self.backend.roughly_now()),
                    };
                    self.enter(id, op, since);
                    self.start(id.slot());
                }
                Message::GivenUp(id, op) => {
                    // (It is over at once.)
                    self.enter(id, op, 0);
                    self.flights[id.slot() as usize].abort = Abort::Cancelled;
                    self.done.push((id.as_u64(), -libc::ECANCELED));
                }
                Message::Cancel(id) => self.abort(id.as_u64(), Abort::Cancelled),
                Message::Helped(id, result) => self.was_helped(id, result),
                Message::Refused(id, result) => self.was_refused(id, result),
                Message::Resume(id) => self.resume(id),
                Message::Supplied => self.was_supplied(),
                Message::CancelEvents => {
                    for slot in 0..self.flights.len() {
                        let f = &self.flights[slot];
                        // SAFETY: a request in flight is in place.
                        if f.id != 0 && unsafe { (*f.op).owner != Owner::Somebody } {
                            self.abort(f.id, Abort::Cancelled);
                        }
                    }
                }
            }
        }
    }

    /// Is there something left that came out of the inbox?
    pub(crate) fn is_behind(&self) -> bool {
        self.looked_at < self.messages.len()
    }

    #[inline]
    fn enter(&mut self, id: OpId, op: *mut RawOp, since: u64) {
        let slot = id.slot() as usize;
        if self.flights.len() <= slot {
            self.flights.resize_with(slot + 1, || Flight::new(0, std::ptr::null_mut(), 0));
        }
        self.flights[slot] = Flight::new(id.as_u64(), op, since);
    }

    #[inline]
    fn start(&mut self, slot: u32) {
        let f = &mut self.flights[slot as usize];
        // SAFETY: a request in flight is in place.
        let (deadline, tried, what) = unsafe { ((*f.op).deadline, (*f.op).tried, RawOp::what(f.op)) };
        if !what.needs_driver() {
            return self.await_time(slot, deadline);
        }
        if let Some(t) = deadline {
            self.wheel.insert(slot, nanos(self.base, t));
        }
        if let Some(failed) = &self.failed {
            f.abort = Abort::Failed(failed.errno);
            return self.done.push((f.id, -failed.errno));
        }
        // SAFETY: `submit_raw`'s contract covers the driver's.
        if !unsafe { self.backend.submit(f.id, f.op, tried) } {
            self.help(slot);
        }
    }
}
