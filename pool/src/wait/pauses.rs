//! Waits that nothing but time, or an unpark, ends; and the same as cancellation points. (Nobody cancels a plain thread: only deadlines
//! end its waits early.)

use super::scopes::{earliest, scope_deadline};
use super::{Stop, checkpoint, in_task, until_token};
use ec_tasks::{Tokens, WaitKind};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

static PARK: WaitKind = WaitKind { name: "park", cancel: None, describe: |_, _| String::new() };

/// In a task: suspends until `at`, or for ever. Not a cancellation point.
///
/// # Panics
/// Outside a task.
pub fn sleep_until(at: Option<Instant>, kind: &'static WaitKind) {
    // Not a point and no condition: nothing but the deadline ends it, so there is nothing to report.
    let _ = until_token(kind, [0; 2], at, false, Tokens::SYNC, |_| false);
}

/// Suspends the task, or blocks the plain thread, until `at`, or for ever. A cancellation point.
///
/// # Errors
/// A cancel, or the deadline of a surrounding `timeout`.
pub fn sleep_until_cancellable(at: Option<Instant>, kind: &'static WaitKind) -> io::Result<()> {
    checkpoint()?;
    sleep_until_stopped(at, kind).map_err(Stop::deliver)
}

/// As [`sleep_until_cancellable`], and what stops it is the caller's to deliver. (A plain thread does not look for what has stopped it before.)
pub fn sleep_until_stopped(at: Option<Instant>, kind: &'static WaitKind) -> Result<(), Stop> {
    if in_task() {
        return until_token(kind, [0; 2], at, true, Tokens::SYNC, |_| false).map(drop);
    }
    let end = earliest(at, scope_deadline());
    thread::sleep(end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now())));
    match end {
        Some(end) if at != Some(end) => Err(Stop::Scope(end)),
        _ => Ok(()),
    }
}

/// In a task: suspends until it is unparked (or was since it last was parked) or `deadline` comes. Not a
/// cancellation point.
///
/// # Panics
/// Outside a task.
pub fn park_until(deadline: Instant) {
    let _ = until_token(&PARK, [0; 2], Some(deadline), false, Tokens::PARK, is_unparked);
}

/// Suspends the task until it is unparked (or was since it last was parked), or until `deadline`; a plain thread [parks](thread::park). A
/// cancellation point.
///
/// # Errors
/// A cancel, or the deadline of a surrounding `timeout`. On a plain thread std does not tell whether it was unparked as well by then. So
/// that no such call is lost the next park returns at once.
pub fn park_cancellable(deadline: Option<Instant>) -> io::Result<()> {
    checkpoint()?;
    if in_task() {
        let end = until_token(&PARK, [0; 2], deadline, true, Tokens::PARK, is_unparked);
        return end.map(drop).map_err(Stop::deliver);
    }
    let Some(end) = earliest(deadline, scope_deadline()) else {
        thread::park();
        return Ok(());
    };
    thread::park_timeout(end.saturating_duration_since(Instant::now()));
    if deadline == Some(end) || Instant::now() < end {
        return Ok(());
    }
    thread::current().unpark();
    Err(Stop::Scope(end).deliver())
}

fn is_unparked(got: Tokens) -> bool {
    got.contains(Tokens::PARK)
}
