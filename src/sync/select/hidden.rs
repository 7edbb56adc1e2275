//! What the macro calls.

use super::super::base::face::let_others_run_at_times;
pub use super::super::base::first::Slot;
use super::super::base::first::{self, Arm};
use super::{Operation, SELECT, SelectError, draw};
use ec_pool::wait::checkpoint;
use std::array;
pub use std::option::Option::{self, None, Some};
pub use std::result::Result::{self, Err, Ok};

pub fn slot<A: Arm>(arm: &mut Option<A>) -> Slot<'_> {
    Slot::new(arm)
}

/// The number of the first among all, those that are not there too. `None`: it is none.
pub fn first<const N: usize>(
    slots: [Slot<'_>; N],
    biased: bool,
    at_once: bool,
) -> Result<Option<usize>, SelectError> {
    let waits_for_something = at_once || slots.iter().any(Slot::is_there);
    assert!(
        waits_for_something,
        "no arm of a select! without a default can come, since each is left out or has nothing to send: \
         it would wait for ever"
    );
    let_others_run_at_times();
    checkpoint().map_err(SelectError::of)?;
    // Whichever of them have come: each may be the first of these.
    let mut slots = slots.map(Some);
    let numbers: [usize; N] = if biased { array::from_fn(|number| number) } else { draw::order() };
    let in_order =
        numbers.map(|number| slots[number].take().expect("each number is there once").numbered(number));
    let came = first::first(&in_order, at_once, &SELECT);
    Ok(came.map_err(|stop| SelectError::of(stop.deliver()))?.map(|came| numbers[came]))
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
