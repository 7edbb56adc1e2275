//! Requests in flight: the driving thread's side of a port.
//!
//! A request enters when the inbox is taken in. Then it is with the driver or (a timer) in the wheel, perhaps several
//! times over. It is settled once.
//!
//! One thread decides here whether a cancel or a deadline came first, so there is no race. A result that carries data
//! is delivered as such, whatever was asked meanwhile.

#![allow(unsafe_code)]

pub(crate) mod failed;
mod finished;
pub(crate) mod helped;
mod intake;
mod lacking;
pub(crate) mod laid;
mod steps;
mod streams;
mod times;
mod unasked;

use crate::drivers::{Backend, Done, Rests, exited};
use crate::id::OpId;
use crate::lock::Mutex;
use crate::operation::{GoOn, Owner, RawOp, Verdict, is_interrupted};
use crate::ports::inbox::{Message, PortShared};
use crate::ports::lacking::Lacking;
use crate::ports::wheel::Wheel;
use crate::sys::told;
use failed::Failed;
pub(crate) use finished::Finished;
use helped::{Helped, Home};
use std::collections::BTreeMap;
use std::time::Instant;

/// So many items of a stream come in one pass.
const ITEMS_IN_ONE_PASS: usize = 64;

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// With the driver, as it is.
    Direct,
    /// With the driver, as a poll request: the descriptor is in non-blocking mode, or a connect is under way.
    Awaiting,
    /// With a helper thread.
    Helper,
    /// With nobody: there was no helper for it.
    Refused,
    /// With nobody: its descriptor was ready in vain.
    Resting,
    /// With nobody: it has taken its last step.
    Stepped,
    /// With nobody: it lacks what somebody else has to give back.
    Lacking,
    /// In the wheel only.
    Timer,
    /// With nobody: a stream without credit.
    Paused,
    /// With nobody: a stream that ends with this when the handler of its last item has returned.
    Ending(i32),
    /// With nobody: a stream without credit, whose time limit is over. When it has credit again what is due by then comes, and then it ends.
    Late,
}

#[derive(Clone, Copy, PartialEq)]
enum Abort {
    No,
    Cancelled,
    Deadline,
    /// The driver has, with this errno.
    Failed(i32),
}

impl Abort {
    /// What is given up for this reason ends with it.
    fn code(self) -> Option<i32> {
        match self {
            Abort::No => None,
            Abort::Cancelled => Some(-libc::ECANCELED),
            Abort::Deadline => Some(-libc::ETIME),
            Abort::Failed(errno) => Some(-errno),
        }
    }
}

struct Flight {
    /// 0: nothing is in flight in this slot.
    id: u64,
    op: *mut RawOp,
    phase: Phase,
    /// It was polled for, and may have to be again.
    awaited: bool,
    abort: Abort,
    /// So many submitters had exited by its last submission.
    exited: u32,
    /// When an event's was taken in, by the clock that is not exact.
    since: u64,
}

impl Flight {
    fn new(id: u64, op: *mut RawOp, since: u64) -> Self {
        Flight { id, op, phase: Phase::Direct, awaited: false, abort: Abort::No, exited: exited(), since }
    }
}

pub(crate) struct Drive {
    pub(crate) backend: Box<dyn Backend>,
    base: Instant,
    wheel: Wheel,
    flights: Vec<Flight>,
    /// What poll(2) said of the descriptors of requests that are tried again. They are few: the driver itself waits for most.
    awaited: BTreeMap<u64, i16>,
    /// What helpers have.
    helped: BTreeMap<u64, Helped>,
    /// The system was last asked for a thread for them then, in vain.
    lacks_since: Option<Instant>,
    home: Home,
    lacking: Lacking,
    rests: Rests,
    failed: Option<Failed>,
    /// What came out of the inbox, and how much of it has been looked at.
    messages: Vec<Message>,
    looked_at: usize,
    pub(crate) done: Vec<Done>,
    freed: Vec<u32>,
    /// Empty: the memory of what a pass fills.
    pub(crate) spare: Vec<Finished>,
    cancelled: u64,
    items: u64,
    /// A stream was submitted again.
    went_on: bool,
    /// The channel goes.
    closing: bool,
    /// Slots whose deadline came, gathered while the wheel is borrowed.
    due: Vec<(Option<Instant>, u32)>,
}

impl Drive {
    pub(crate) fn new(backend: Box<dyn Backend>, home: Home) -> Self {
        Self {
            base: backend.now(),
            backend,
            wheel: Wheel::new(),
            flights: Vec::new(),
            awaited: BTreeMap::new(),
            helped: BTreeMap::new(),
            lacks_since: None,
            home,
            lacking: Lacking::default(),
            rests: Rests::default(),
            failed: None,
            messages: Vec::new(),
            looked_at: 0,
            done: Vec::new(),
            freed: Vec::new(),
            spare: Vec::new(),
            cancelled: 0,
            items: 0,
            went_on: false,
            closing: false,
            due: Vec::new(),
        }
    }

    /// The requests in flight.
    pub(crate) fn ids(&self) -> Vec<OpId> {
        self.flights.iter().filter(|f| f.id != 0).map(|f| OpId::from_u64(f.id)).collect()
    }

    fn abort(&mut self, id: u64, why: Abort) {
        let Some(code) = why.code() else { return };
        let slot = OpId::from_u64(id).slot();
        let Some(f) = self.flights.get_mut(slot as usize).filter(|f| f.id == id && f.abort == Abort::No)
        else {
            return;
        };
        f.abort = why;
        let op = f.op;
        if !self.end_idle(slot, code) {
            // SAFETY: a request in flight is in place.
            unsafe { self.backend.cancel(id, op) };
        }
    }

    /// The request in this slot is given up, with `code`, if it is with nobody who would give it back. False: the driver has it.
    #[inline]
    fn end_idle(&mut self, slot: u32, code: i32) -> bool {
        let f = &self.flights[slot as usize];
        let id = f.id;
        let ends = match f.phase {
            Phase::Direct | Phase::Awaiting => return false,
            // (It stays there until it is settled.)
            Phase::Timer => self.wheel.is_armed(slot),
            Phase::Helper => self.give_up_helped(id),
            Phase::Resting => true,
            Phase::Lacking => {
                self.lacks_no_more(id);
                true
            }
            Phase::Paused if f.abort == Abort::Deadline => self.limit_of_paused(slot),
            Phase::Paused => self.end_of_paused(slot, code).is_some(),
            Phase::Ending(_) | Phase::Late | Phase::Stepped | Phase::Refused => false,
        };
        if ends {
            self.done.push((id, code));
        }
        true
    }

    pub(crate) fn settle(&mut self, out: &mut Vec<Finished>) {
        let mut done = std::mem::take(&mut self.done);
        for _ in 0..ITEMS_IN_ONE_PASS {
            for (id, result) in done.drain(..) {
                self.settle_one(id, result, out);
            }
            // Retries may have been settled at once. What comes next in a stream may be there already: who has to poll need not for each.
            done.append(&mut self.done);
            if std::mem::take(&mut self.went_on) {
                self.backend.take_settled(&mut done);
            }
            if done.is_empty() {
                break;
            }
        }
        self.done = done;
    }

    /// Hands a request to the driver once more: as it is, to await its descriptor, or after a rest.
    fn once_more(&mut self, id: u64, verdict: Verdict) {
        let f = &mut self.flights[OpId::from_u64(id).slot() as usize];
        let op = f.op;
        // SAFETY: a request in flight is in place.
        let waits_for = unsafe { RawOp::what(op) }.waits_for();
        match (verdict, waits_for) {
            (Verdict::Rest, _) => self.rest(id),
            (Verdict::Lacks, _) => self.lack(id),
            (Verdict::Help, _) => self.help(OpId::from_u64(id).slot()),
            (Verdict::Await, Some(it)) => {
                (f.phase, f.awaited) = (Phase::Awaiting, true);
                // SAFETY: as at its first submission.
                unsafe { self.backend.await_readiness(id, it.fd, it.interest) };
            }
            _ => {
                // (Counted before it is submitted: who exits from here on may take it along.)
                (f.phase, f.exited) = (Phase::Direct, exited());
                // SAFETY: as at its first submission.
                if !unsafe { self.backend.submit(id, op, false) } {
                    self.help(OpId::from_u64(id).slot());
                }
            }
        }
    }

    /// Decides what a result from the driver means: done, or once more.
    fn settle_one(&mut self, id: u64, result: i32, out: &mut Vec<Finished>) {
        let slot = OpId::from_u64(id).slot();
        let Some(f) = self.flights.get_mut(slot as usize).filter(|f| f.id == id) else { return };
        let phase = f.phase;
        if phase == Phase::Timer {
            return self.conclude(id, result, out);
        }
        // SAFETY: a request in flight is in place.
        let what = unsafe { RawOp::what(f.op) };
        // (The driver of one request at a time takes the steps itself.)
        if phase != Phase::Direct && what.steps().is_some() {
            if let Some(end) = self.after_step(slot, result) {
                self.complete(id, end, out);
            }
            return;
        }
        let mut verdict = match phase {
            Phase::Awaiting if result >= 0 => match what.waits_for() {
                // io_uring reports that the peer has shut down to whoever polls for anything.
                Some(it) if told(result as i16, it.interest).is_none() => Verdict::Rest,
                _ => Verdict::Again,
            },
            Phase::Awaiting if is_interrupted(-result) => Verdict::Await,
            Phase::Awaiting => Verdict::Final,
            // (The helper, or the driver, has been told to give it up, and has not begun it. If it was not told so, the kernel says it, for
            // whatever reason.)
            Phase::Helper | Phase::Direct if result == -libc::ECANCELED && f.abort != Abort::No => {
                Verdict::Again
            }
            Phase::Helper => Verdict::Final,
            Phase::Resting => Verdict::Rest,
            Phase::Lacking => Verdict::Lacks,
            Phase::Paused => Verdict::Again,
            Phase::Ending(_) | Phase::Late | Phase::Stepped | Phase::Refused => Verdict::Final,
            // (A helper stays until it is done.)
            // SAFETY: it is in flight, and this is its operation.
            _ if unsafe { f.is_lost(what, result) } => Verdict::Help,
            _ if result >= 0 => what.judge_success(result),
            _ if result == -libc::ECANCELED && f.had_no_thread() => f.without_a_thread(what),
            _ => what.judge(result),
        };
        let mut result = result;
        if verdict == Verdict::Ready {
            // SAFETY: what it points to is valid as long as it is in flight.
            (verdict, result) = unsafe { what.go_on() }.verdict(result);
        }
        if f.abort != Abort::No {
            // Also if it was ready, but the call had not been made: nothing was taken. (Where the port makes it, what has come by now is
            // delivered, as the kernel itself would.)
            let made_here = matches!(phase, Phase::Awaiting | Phase::Resting) && what.entry().is_none();
            result = match f.abort.code() {
                Some(code) if verdict != Verdict::Final => {
                    // SAFETY: what it points to is valid as long as it is in flight.
                    let come = if made_here { unsafe { what.last_attempt() } } else { None };
                    come.unwrap_or(code)
                }
                _ => result,
            };
            verdict = Verdict::Final;
        } else if f.phase == Phase::Awaiting && verdict == Verdict::Again {
            // SAFETY: what it points to is valid as long as it is in flight.
            let gone_on = unsafe { what.go_on() };
            if gone_on == GoOn::Call {
                self.awaited.insert(id, result as i16);
            }
            (verdict, result) = gone_on.verdict(result);
        } else if let (Verdict::Await, Some(revents)) = (verdict, self.awaited.get(&id)) {
            // Its descriptor was ready, and the call would block all the same.
            // SAFETY: as above.
            match unsafe { what.end_of_input(*revents) } {
                Some(end) => (verdict, result) = (Verdict::Final, end),
                None => verdict = Verdict::Rest,
            }
        }
        if verdict != Verdict::Final {
            return self.once_more(id, verdict);
        }
        self.conclude(id, result, out);
    }

    /// That is its end; or a stream has its next item.
    #[inline]
    fn conclude(&mut self, id: u64, result: i32, out: &mut Vec<Finished>) {
        let f = &self.flights[OpId::from_u64(id).slot() as usize];
        // SAFETY: a request in flight is in place.
        let is_item = result >= 0 && unsafe { (*f.op).owner == Owner::Stream };
        let end = if is_item { self.next_item(id, result, out) } else { Some(result) };
        if let Some(end) = end {
            self.complete(id, end, out);
        }
    }

    /// It comes back.
    #[inline]
    fn complete(&mut self, id: u64, result: i32, out: &mut Vec<Finished>) {
        if result == -libc::ECANCELED {
            self.cancelled += 1;
        }
        let slot = OpId::from_u64(id).slot();
        let f = &mut self.flights[slot as usize];
        let op = f.op;
        f.id = 0;
        if !self.awaited.is_empty() {
            self.awaited.remove(&id);
        }
        self.rests.forget(id);
        self.wheel.remove(slot);
        self.freed.push(slot);
        // SAFETY: the request is complete and in place; from here on it is its owner's.
        out.push(unsafe { Finished::of(op, OpId::from_u64(id), result) });
    }

    /// Gives the slots of what has completed free. Before anybody hears of it.
    pub(crate) fn release(&mut self, shared: &Mutex<PortShared>) {
        if self.freed.is_empty() && self.items == 0 {
            return;
        }
        let mut s = shared.lock();
        s.counts.completed += self.freed.len() as u64;
        s.counts.cancelled += std::mem::take(&mut self.cancelled);
        s.counts.items += std::mem::take(&mut self.items);
        for slot in self.freed.drain(..) {
            s.slots.give_back(slot);
        }
    }
}
