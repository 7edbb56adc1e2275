//! A task to stop in: functions with plain names, so that a debugger's stack can be compared.

use crate::scenes::hop;
use event_channel::task;
use std::hint::black_box;

/// Where the debugger stops.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn observed_here(number: u32) -> u32 {
    black_box(number) + 1
}

#[inline(never)]
fn observed_inner(number: u32) -> u32 {
    let local = black_box(number * 2);
    let result = observed_here(local);
    black_box(result)
}

#[inline(never)]
fn observed_outer(number: u32) -> u32 {
    hop();
    let result = observed_inner(black_box(number + 1));
    hop();
    black_box(result)
}

/// The task calls it after a suspension, on another worker than it began on.
pub(crate) fn stop() {
    let others: Vec<_> = (0..20).map(|_| task::spawn(|| (0..20).for_each(|_| hop()))).collect();
    let watched = task::Builder::new().name("watched".into()).spawn(|| observed_outer(20));
    assert_eq!(watched.expect("a task").join().ok(), Some(43));
    others.into_iter().for_each(|other| other.join().expect("it only hops"));
}
