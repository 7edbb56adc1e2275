//! What the world sees of a task's panic: where its backtrace begins, and the line that names the task.
//!
//! Who tells what: the panic hook tells that a *thread* has panicked, where, and with which backtrace, as ever. The hook cannot know
//! the task's name, unless the program has written it. So one line follows that names the task, once. The line can stand alone, for
//! a payload that is thrown again (`resume_unwind`) comes past no hook.

use std::any::Any;
use std::hint::black_box;

use crate::task::Header;
use crate::util::stderr::write_to_stderr;

/// Calls `f`. Whoever prints a short backtrace leaves out this frame and those that called it: std's printer looks for a function of
/// this name. So a task's backtrace ends where the program's code began, as a thread's does.
#[inline(never)]
pub(crate) fn __rust_begin_short_backtrace<T>(f: impl FnOnce() -> T) -> T {
    let result = f();
    // The call is not the last thing that happens here. Else it might take the place of this frame.
    black_box(());
    result
}

/// The words of a panic's payload.
fn message_of(payload: &(dyn Any + Send)) -> &str {
    if let Some(words) = payload.downcast_ref::<&'static str>() {
        words
    } else if let Some(words) = payload.downcast_ref::<String>() {
        words
    } else {
        "Box<dyn Any>"
    }
}

/// Tells on stderr, in one write, that a task has panicked.
pub(crate) fn report(header: &Header, payload: &(dyn Any + Send)) {
    // A line: the rest was told by the hook.
    let message = message_of(payload).lines().next().unwrap_or_default();
    let more = if header.join.is_detached() { ", and nobody joins it" } else { "" };
    let words = format!("{} panicked: {message}{more}\n", header.title());
    write_to_stderr(words.as_bytes());
}
