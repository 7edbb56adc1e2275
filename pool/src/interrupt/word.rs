//! The word under which a thread that is in a section is sent a signal.
//!
//! Nobody may be sent one who has left. So whoever sends says so in the word before, and takes that back afterwards; and whoever leaves waits
//! until nobody is at it. Then it knows whether it was sent one. If so that has reached the thread, which is to handle it before it goes on.
//!
//! Each stay in a section has a number of its own. So who has seen a thread in one stay does not take the next one for it.
//!
//! `tests/interrupt_model.rs` checks it with loom.

use crate::sync::{AtomicU64, Ordering, snooze};

/// The thread is in a section.
const INSIDE: u64 = 1;
/// It is to be sent signals, now.
const WANTED: u64 = 2;
/// Somebody is about to send one.
const SENDING: u64 = 4;
/// One was sent, perhaps.
const SENT: u64 = 8;
/// One more stay.
const NEXT: u64 = 16;

/// See the module.
pub(crate) struct Word(AtomicU64);

/// What was seen of a thread in a section.
#[derive(Clone, Copy)]
pub(crate) struct Seen(u64);

impl Seen {
    pub(crate) fn is_wanted(self) -> bool {
        self.0 & WANTED != 0
    }

    /// The number of the stay.
    pub(crate) fn stay(self) -> u64 {
        self.0 / NEXT
    }
}

impl Word {
    pub(crate) fn new() -> Word {
        Word(AtomicU64::new(0))
    }

    /// The thread whose word this is enters. What it has noted before is seen by who sees it inside. It has left.
    pub(crate) fn enter(&self) {
        // Nobody else changes the word of a thread that has left.
        let before = self.0.load(Ordering::Relaxed);
        self.0.store((before & !(NEXT - 1)).wrapping_add(NEXT) | INSIDE, Ordering::Release);
    }

    /// Is the thread in a section?
    pub(crate) fn seen(&self) -> Option<Seen> {
        let now = self.0.load(Ordering::Acquire);
        (now & INSIDE != 0).then_some(Seen(now))
    }

    /// It is to be sent signals, if it is still in the stay that was seen. False: it is not.
    pub(crate) fn want(&self, seen: Seen) -> bool {
        let mut now = seen.0;
        while now & INSIDE != 0 && Seen(now).stay() == seen.stay() {
            match self.0.compare_exchange_weak(now, now | WANTED, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Whoever calls is about to send a signal; then follows `end_send`. False: the thread is not as it was seen, or somebody else is at it.
    pub(crate) fn begin_send(&self, seen: Seen) -> bool {
        let next = seen.0 | SENDING | SENT;
        seen.0 & SENDING == 0
            && self.0.compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The signal is sent. With `gone` there is no such thread: it is in no section any more.
    pub(crate) fn end_send(&self, gone: bool) {
        let done = if gone { SENDING | INSIDE } else { SENDING };
        self.0.fetch_and(!done, Ordering::Release);
    }

    /// The thread leaves, once nobody is about to send it anything, or `nobody_sends` any more. True: it may have been sent a signal in this stay.
    pub(crate) fn leave(&self, nobody_sends: impl Fn() -> bool) -> bool {
        self.leave_if(|_| true, nobody_sends)
    }

    /// As [`leave`](Self::leave), if it is in the stay that was seen. (From another thread, too.)
    pub(crate) fn leave_stay(&self, seen: Seen) -> bool {
        self.leave_if(|now| now.stay() == seen.stay(), || false)
    }

    fn leave_if(&self, is_meant: impl Fn(Seen) -> bool, nobody_sends: impl Fn() -> bool) -> bool {
        let mut turns = 0;
        loop {
            let now = self.0.load(Ordering::Acquire);
            if now & INSIDE == 0 || !is_meant(Seen(now)) {
                return false;
            }
            if now & SENDING != 0 && !nobody_sends() {
                snooze(&mut turns);
                continue;
            }
            let left = now & !(NEXT - 1);
            if self.0.compare_exchange_weak(now, left, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return now & SENT != 0;
            }
        }
    }
}
