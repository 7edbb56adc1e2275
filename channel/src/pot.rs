//! What those share who wait for a signal for themselves alone: each occurrence goes to whoever of them takes it first.
//!
//! What is left when the last of them goes nobody gets. So who comes is counted first, and takes part only when the handlers that have begun
//! are over: one of those may have put what it tells into the pot for somebody who has been the last since then. It tells the newcomer
//! by himself. And he is not counted between the last one's going and what is thrown away for it, which might be his.

use crate::lock::Mutex;
use crate::occurrences::Occurrences;
use crate::sync::{AtomicBool, Ordering};
use crate::visits::Visits;

/// Of one signal.
pub(crate) struct Pot {
    pub(crate) inside: Occurrences,
    /// Those whose it is. (No handler locks this.)
    pub(crate) members: Mutex<u32>,
    /// Handlers that tell of it.
    pub(crate) handlers: Visits,
}

impl Pot {
    /// One more whose it is, from when this returns. (Until then he is told by himself.)
    pub(crate) fn join(&self, idle: impl Fn()) {
        *self.members.lock() += 1;
        self.handlers.until_left(idle);
    }

    /// One of them goes, of whom no handler tells any more.
    pub(crate) fn leave(&self) {
        let mut members = self.members.lock();
        *members -= 1;
        if *members == 0 {
            self.inside.take();
        }
    }

    /// A handler tells those who wait, by and by.
    pub(crate) fn tell(&self, sender: u64) -> Telling<'_> {
        self.handlers.enter();
        Telling { pot: self, sender, is_inside: false }
    }
}

/// One occurrence. For those whose the pot is it is put in there, once.
pub(crate) struct Telling<'a> {
    pot: &'a Pot,
    sender: u64,
    is_inside: bool,
}

impl Telling<'_> {
    /// Tells one who waits: his bell is to be rung afterwards.
    pub(crate) fn one(&mut self, own: &Occurrences, is_member: &AtomicBool) {
        if !is_member.load(Ordering::SeqCst) {
            own.add(self.sender);
        } else if !std::mem::replace(&mut self.is_inside, true) {
            self.pot.inside.add(self.sender);
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.pot.handlers.leave();
    }
}
