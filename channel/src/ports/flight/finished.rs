//! What has come back, on its way to whoever is to have it.

#![allow(unsafe_code)]

use crate::events::body::Body;
use crate::events::event::Event;
use crate::events::inside::Inside;
use crate::foreign;
use crate::id::OpId;
use crate::operation::{Owner, RawCompletion, RawOp};

/// What a pass of the port completed.
pub(crate) enum Finished {
    Raw(RawCompletion),
    Event(Event),
}

impl Finished {
    /// The operation that was `id` to its port, which has come to `result`.
    ///
    /// # Safety
    /// It is complete and in place, and nobody else has it; from here on it is its owner's.
    #[inline]
    pub(super) unsafe fn of(op: *mut RawOp, id: OpId, result: i32) -> Self {
        // SAFETY: by contract.
        unsafe {
            (*op).set_result(result);
            match (*op).owner {
                Owner::Somebody => Finished::Raw(RawCompletion::of(op)),
                _ => Finished::Event(Event(Inside::Body(Body::completed(op, id)))),
            }
        }
    }

    /// The channel has gone: an event goes with all that is in it, and no handler of its runs. Whoever suspended for an operation hears of
    /// its end all the same. (Foreign code: under no lock.)
    pub(crate) fn let_go(self) {
        match self {
            Finished::Raw(raw) => drop(foreign::call(|| raw.deliver())),
            Finished::Event(event) => event.0.discard(),
        }
    }
}
