//! A worker's part of the floating-point unit, outside of tasks.

#![allow(unsafe_code)]

use super::WorkerLocal;
use crate::here;
use crate::util::fp::Control;

/// Runs `f`, on a worker and outside of tasks; the control bits of the floating-point unit are afterwards as they were when
/// the thread became one. (In a task, whose bits are its own, and on other threads it just calls `f`.)
pub fn keeping_float_control<R>(f: impl FnOnce() -> R) -> R {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the thread's own, which lives as long as it is a worker: asked for now, since `f` may have ended that.
            if let Some(local) = unsafe { WorkerLocal::of_this_thread().as_ref() } {
                Control::in_force().change_to(local.control);
            }
        }
    }
    let _restore = here::task().is_null().then_some(Restore);
    f()
}
