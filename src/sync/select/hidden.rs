//! What the macro calls.

pub use super::super::base::first::Slot;
use super::super::base::first::{self, Arm};
use super::{Operation, SELECT, SelectError, some_number};
use ec_pool::wait::checkpoint;
pub use std::option::Option::{self, None, Some};
pub use std::result::Result::{self, Err, Ok};

pub fn slot<A: Arm>(arm: &mut Option<A>) -> Slot<'_> {
    Slot::new(arm)
}

/// The number of the first among all, those that are not there too. `None`: it is none.
pub fn first(slots: &[Slot<'_>], biased: bool, at_once: bool) -> Result<Option<usize>, SelectError> {
    let waits_for_something = at_once || slots.iter().any(Slot::is_there);
    assert!(
        waits_for_something,
        "no arm of a select! without a default can come, since each is left out or has nothing to send: \
         it would wait for ever"
    );
    checkpoint().map_err(SelectError::of)?;
    let start = if biased { 0 } else { some_number() % slots.len() };
    first::first(slots, start, at_once, &SELECT).map_err(|stop| SelectError::of(stop.deliver()))
}

pub fn output<A: Operation>(
    arm: Option<A>,
    first: Result<Option<usize>, SelectError>,
    at: usize,
) -> Option<A::Output> {
    if first == Ok(Some(at)) { arm?.output() } else { None }
}

pub fn has_come<T>(output: Option<T>) -> T {
    output.expect("the first one has given something")
}

pub fn nothing_else() -> ! {
    unreachable!("without a default it waits")
}
