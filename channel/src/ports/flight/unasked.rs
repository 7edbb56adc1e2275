//! Ends that nobody has asked for: the kernel has given a request up.
//!
//! It does when the thread that submitted it exits: in ECANCELED, and then it is submitted again; or in EFAULT, or in a part of the bytes,
//! where that thread's memory was needed, and then a helper does it. And it says ECANCELED, too, if it has to give the request to a thread
//! of its own, and may have none (`RLIMIT_NPROC`). So what was given up is submitted again only if a submitter has exited since it was
//! submitted. That is counted before the kernel gives anything up. (If both come together it is submitted once more than needed, for each
//! thread that exits.)

#![allow(unsafe_code)]

use super::{Abort, Flight};
use crate::drivers::exited;
use crate::operation::{Carry, Verdict};

impl Flight {
    /// Has no submitter exited, and has nobody asked for its end? Then the kernel had no thread for it.
    #[cold]
    pub(super) fn had_no_thread(&self) -> bool {
        self.abort == Abort::No && self.exited == exited()
    }

    /// The kernel may have no thread for it the next time either. What has no need of the ring is a helper's. What waits for a descriptor is
    /// submitted again when that is ready; if it has been, after a rest, which grows.
    #[cold]
    pub(super) fn without_a_thread(&self, what: &dyn Carry) -> Verdict {
        match what.waits_for() {
            Some(_) if !self.awaited => Verdict::Await,
            None if what.blocking().is_some() => Verdict::Help,
            _ => Verdict::Rest,
        }
    }

    /// May this be the end of a submitter that has exited, and not its own?
    ///
    /// # Safety
    /// It is in flight, and `what` is its operation.
    pub(super) unsafe fn is_lost(&self, what: &dyn Carry, result: i32) -> bool {
        // SAFETY: what it points to is valid as long as it is in flight.
        self.exited != exited() && unsafe { what.may_be_lost(result) }
    }
}
