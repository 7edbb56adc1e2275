//! Operations that a helper thread carries out, since the driver cannot.
//!
//! The port's driving thread hands such a one over, and hears of its end by its inbox. One that is given up is taken out of the helpers' queue;
//! if a helper has begun it, what may last as long as others wish is ended, and any other is waited for: the kernel cannot be stopped in it.
//! Who only looks again and again, or waits for a word in memory, is told so. A call that can be ended by nothing else gets a signal; and
//! again after a rest, until its helper has left it: it may not have begun to wait, and there may have been no signal.
//!
//! A channel that goes does not wait for ever. What a helper has when the port is closed is that helper's from then on: it lets go of it when
//! it is through with it.

#![allow(unsafe_code)]

use super::{Drive, Finished, Phase, Verdict};
use crate::blocker;
use crate::foreign;
use crate::fork;
use crate::helpers::{HELPERS, Here, Job};
use crate::id::OpId;
use crate::line::Place;
use crate::lock::Mutex;
use crate::operation::{Caller, RawOp, Step};
use crate::ports::inbox::{Message, PortShared};
use crate::sys::futex::End;
use crate::sys::interrupt::Reach;
use crate::waker::Rope;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A thread that was not to be had is asked for again after so long.
const TRY: Duration = Duration::from_millis(50);

/// Where a helper leaves what came of an operation. It may outlast the channel.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) shared: Arc<Mutex<PortShared>>,
    pub(crate) rope: Arc<Rope>,
}

/// One that is with a helper, or in the helpers' queue.
pub(super) struct Helped {
    place: Place,
    errand: Arc<Errand>,
}

struct Errand {
    id: OpId,
    op: *const RawOp,
    home: Home,
    /// Whose thread runs it, as [`blocker::caller_number`] has it; 0: nobody's.
    run_by: AtomicU64,
    /// It has been known from the beginning that it may last.
    lasts: bool,
    /// It is given up.
    end: End,
    /// The helper makes a call that may last, which only a signal ends.
    call: Mutex<Option<Reach>>,
}

// SAFETY: an operation in flight may be used from any thread; while its errand runs nobody but the helper uses it.
unsafe impl Send for Errand {}
// SAFETY: as above. What several threads use of an errand lies under its lock.
unsafe impl Sync for Errand {}

impl Errand {
    /// It comes back to its port, having come to this.
    fn come_back(&self, message: Message) {
        if fork::is_child() {
            return;
        }
        let mut shared = PortShared::lock(&self.home.shared);
        if shared.is_closed {
            drop(shared);
            return self.let_go(message);
        }
        shared.inbox.push(message);
        shared.counts.helped += 1;
        drop(shared);
        self.home.rope.call_if_asleep();
    }

    /// Nobody looks into the inbox any more.
    #[cold]
    fn let_go(&self, message: Message) {
        let op = self.op.cast_mut();
        // SAFETY: the port has been closed, and has left it to this thread, which is through with it.
        let finished = unsafe {
            // (That may have been all. Else it was cancelled as the channel went.)
            let end = match message {
                Message::Helped(_, result) => match RawOp::what(op).steps().map(|it| it.step(Some(result))) {
                    None => result,
                    Some(Step::Done(end)) => end,
                    Some(_) => -libc::ECANCELED,
                },
                // (It was refused as the channel went.)
                _ => -libc::ECANCELED,
            };
            Finished::of(op, self.id, end)
        };
        finished.let_go();
    }

    fn give_up(&self) {
        self.end.come();
    }

    /// Ends the call that only a signal ends, if it can be done. True: there is such a call, so this is to be done again.
    fn interrupt(&self) -> bool {
        let call = self.call.lock();
        if let Some(reach) = &*call {
            reach.interrupt();
        }
        call.is_some()
    }
}

impl Job for Errand {
    fn run(&self, here: &Here) {
        let mut result = -libc::EIO;
        self.run_by.store(blocker::caller_number(), Ordering::Relaxed);
        foreign::call(|| {
            // SAFETY: it is in flight, and from here to the message in the inbox this thread's alone.
            if let Some(it) = unsafe { RawOp::what(self.op) }.blocking() {
                // SAFETY: by `submit_raw`'s contract what it points to is valid.
                result = unsafe { it.call(&Helper { errand: self, here }) };
            }
        });
        self.come_back(Message::Helped(self.id, result));
    }

    /// The port has a thread asked for again: see [`Drive::next_try`].
    fn waits(&self) {
        if !fork::is_child() {
            self.home.rope.call();
        }
    }

    fn refused(&self, why: &io::Error) {
        self.come_back(Message::Refused(self.id, -why.raw_os_error().unwrap_or(libc::EAGAIN)));
    }

    fn lasts(&self) -> bool {
        self.lasts
    }
}

/// The helper, as what it calls sees it.
struct Helper<'a> {
    errand: &'a Errand,
    here: &'a Here,
}

impl Caller for Helper<'_> {
    fn at_length(&self, call: &mut dyn FnMut() -> i32) -> i32 {
        let (reach, _deliverable) = Reach::here();
        self.here.at_length(|| {
            loop {
                {
                    let mut state = self.errand.call.lock();
                    if self.errand.end.has_come() {
                        return -libc::ECANCELED;
                    }
                    *state = Some(reach);
                }
                let result = call();
                *self.errand.call.lock() = None;
                if result != -libc::EINTR {
                    return result;
                }
            }
        })
    }

    fn until(&self, ask: &mut dyn FnMut(&End) -> Option<i32>) -> i32 {
        let end = &self.errand.end;
        self.here.at_length(|| {
            loop {
                // (Whoever has come before the end is not left out: it is asked once more.)
                let is_last = end.has_come();
                if let Some(result) = ask(end) {
                    return result;
                }
                if is_last {
                    return -libc::ECANCELED;
                }
            }
        })
    }
}

impl Drive {
    /// Perhaps one that a helper is to do waits, since the system gave no thread.
    #[inline]
    fn may_lack_a_thread(&self) -> bool {
        !self.helped.is_empty() && HELPERS.are_lacking()
    }

    /// When a thread is to be asked for again.
    #[inline]
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.may_lack_a_thread().then(|| self.lacks_since.unwrap_or_else(|| self.backend.now()) + TRY)
    }

    /// Asks for it, if it is time to.
    #[inline]
    pub(super) fn ask_for_threads(&mut self) {
        if !self.may_lack_a_thread() {
            self.lacks_since = None;
            return;
        }
        let now = self.backend.now();
        match self.lacks_since {
            Some(at) if now < at + TRY => return,
            Some(_) => HELPERS.try_again(),
            None => {}
        }
        self.lacks_since = Some(now);
    }

    /// The driver does not carry out the operation in this slot. (What waits for a descriptor it awaits.)
    pub(super) fn help(&mut self, slot: u32) {
        let f = &self.flights[slot as usize];
        let id = f.id;
        // SAFETY: a request in flight is in place.
        let what = unsafe { RawOp::what(f.op) };
        match what.waits_for() {
            _ if what.steps().is_some() => self.step(slot),
            Some(_) => self.once_more(id, Verdict::Await),
            None => self.hand_to_helper(slot),
        }
    }

    /// What is blocking in the operation in this slot is a helper's.
    pub(super) fn hand_to_helper(&mut self, slot: u32) {
        let f = &mut self.flights[slot as usize];
        // SAFETY: a request in flight is in place.
        let Some(it) = unsafe { RawOp::what(f.op) }.blocking() else {
            return self.done.push((f.id, -libc::ENOSYS));
        };
        f.phase = Phase::Helper;
        // SAFETY: `submit_raw`'s contract covers it.
        if let Some(result) = unsafe { it.at_once() } {
            return self.done.push((f.id, result));
        }
        let (id, op) = (OpId::from_u64(f.id), f.op.cast_const());
        let (home, run_by, lasts) = (self.home.clone(), AtomicU64::new(0), it.lasts());
        let (end, call) = (End::default(), Mutex::new(None));
        let errand = Arc::new(Errand { id, op, home, run_by, lasts, end, call });
        let place = HELPERS.submit(errand.clone());
        self.helped.insert(id.as_u64(), Helped { place, errand });
    }

    /// The operation `id`, which a helper has or is to have, is given up. True: it was not begun.
    pub(super) fn give_up_helped(&mut self, id: u64) -> bool {
        let Some(Helped { place, errand }) = self.helped.get(&id) else { return false };
        if HELPERS.withdraw(*place, &**errand) {
            self.helped.remove(&id);
            return true;
        }
        errand.give_up();
        self.interrupt_helped(id);
        false
    }

    /// The helper that has `id` is to leave its call, which lasts, now or after a rest.
    pub(super) fn interrupt_helped(&mut self, id: u64) {
        if self.helped.get(&id).is_some_and(|it| it.errand.interrupt()) {
            self.rests.begin(id, self.backend.now());
        }
    }

    /// How many are with helpers, or in their queue.
    pub(crate) fn with_helpers(&self) -> usize {
        self.helped.len()
    }

    /// How many the caller himself runs, as a helper: what he calls from there. (He asks what he has written himself.)
    pub(crate) fn run_by_caller(&self) -> usize {
        let here = blocker::caller_number();
        self.helped.values().filter(|it| it.errand.run_by.load(Ordering::Relaxed) == here).count()
    }

    /// A helper has done it.
    pub(super) fn was_helped(&mut self, id: OpId, result: i32) {
        self.helped.remove(&id.as_u64());
        self.done.push((id.as_u64(), result));
    }

    /// There is no helper to do it. (That is no result of its call's, which it might make something of.)
    pub(super) fn was_refused(&mut self, id: OpId, result: i32) {
        if let Some(f) = self.flights.get_mut(id.slot() as usize).filter(|f| f.id == id.as_u64()) {
            f.phase = Phase::Refused;
        }
        self.was_helped(id, result);
    }
}
