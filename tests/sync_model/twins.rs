//! `src/twins.rs`, with the stops of the model.

use crate::sync::base::face::{Instant, Stop};
use std::io;
use std::time::Duration;

pub(crate) const NO_DEADLINE: &str = "there was no deadline of its own";

pub(crate) fn after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

pub(crate) fn no_point<R>(wait: impl FnOnce(bool) -> Result<R, Stop>) -> R {
    wait(false).unwrap_or_else(|_| unreachable!("not a point"))
}

pub(crate) fn point<R>(wait: impl FnOnce(bool) -> Result<R, Stop>) -> io::Result<R> {
    wait(true).map_err(Stop::deliver)
}
