//! What is refused before anybody is asked for it: bad input that drivers would not all see in the same way.

#![allow(unsafe_code)]

use crate::operation::{Blocking, Caller, Carry, Readiness};
use io_uring::squeue;

/// In place of the operation: fails with this errno.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused(pub(super) i32);

// SAFETY: it touches nothing.
unsafe impl Carry for Refused {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        None
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }
}

// SAFETY: as above.
unsafe impl Blocking for Refused {
    unsafe fn at_once(&self) -> Option<i32> {
        Some(-self.0)
    }

    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        -self.0
    }
}
