//! What waits is called in two ways: as std has it, which is no cancellation point, and by its twin `x_cancellable`, which is. Both are one
//! call of a function that is told what it is, and until when it waits.

use ec_pool::wait::Stop;
use std::io;
use std::time::{Duration, Instant};

/// For who waits without one.
pub(crate) const NO_DEADLINE: &str = "there was no deadline of its own";

/// A sum that no clock can show is for ever.
pub(crate) fn after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Calls `wait`, which is told that it is no cancellation point.
#[inline]
pub(crate) fn no_point<R>(wait: impl FnOnce(bool) -> Result<R, Stop>) -> R {
    wait(false).unwrap_or_else(|_| unreachable!("not a point"))
}

/// Calls `wait`, which is told that it is a cancellation point.
#[inline]
pub(crate) fn point<R>(wait: impl FnOnce(bool) -> Result<R, Stop>) -> io::Result<R> {
    wait(true).map_err(Stop::deliver)
}
