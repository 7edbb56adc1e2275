//! A task says what it is about to wait for.

use crate::task::WaitKind;
use crate::wait::with_current;

/// Announces what the current task is about to wait for; nothing in a plain thread. A wait
/// announced before is replaced.
///
/// Follow it with a look at [`cancel_pending`](crate::cancel_pending): a cancel that came before
/// the announcement has not seen it.
pub fn begin_wait(kind: &'static WaitKind, token: u64, detail: u64) {
    with_current(|task| {
        if let Some(task) = task {
            task.header().wait.begin(kind, token, detail);
        }
    });
}

/// The announced wait is over.
pub fn end_wait() {
    with_current(|task| {
        if let Some(task) = task {
            task.header().wait.end();
        }
    });
}
