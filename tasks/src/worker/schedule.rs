//! Handing a ready task over.

#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::sync::Arc;

use super::WorkerLocal;
use crate::task::Runnable;
use crate::util::crossing::assert_no_crossing;

/// Hands a ready task to its scheduler.
///
/// As soon as the `Runnable` is in a queue another worker may run the task to its end and free
/// it, and with it the last reference to the scheduler whose `schedule` we are in. So the call
/// holds a reference of its own. Workers, who wake most, keep one of their own scheduler for good
/// (until their `WorkerGuard` goes), which saves them two writes to a contended counter for each wake.
#[inline(never)]
pub(crate) fn schedule(runnable: Runnable) {
    assert_no_crossing("a task that becomes ready");
    // SAFETY: the run reference keeps the header until `runnable` is handed over.
    let scheduler = unsafe { &runnable.raw().as_ref().scheduler };
    // (It lives in this thread's `WorkerGuard`, which takes the pointer back before it
    // goes, and then keeps what is held while it is in use, so that nothing within `schedule` can drop it
    // under us.)
    let handed = WorkerLocal::here(|local| match local {
        Some(local) => local.schedule(Arc::as_ptr(scheduler).cast(), runnable),
        None => Err(runnable),
    });
    let Err(runnable) = handed else { return };
    let scheduler = ManuallyDrop::new(Arc::clone(scheduler));
    scheduler.schedule(runnable);
    // (A scheduler that panics is leaked rather than dropped while unwinding.)
    drop(ManuallyDrop::into_inner(scheduler));
}
