//! Who has called the caller, where the frames lie on several stacks: on those of another crate's coroutines.
//!
//! Nobody but its crate knows a coroutine's stack. But the unwinder finds the way from each frame to the one that has called it, also
//! from a coroutine to the code that has resumed it. It is asked only if the caller is on a stack that is not its task's or thread's
//! own, and if something that matters lies on such a stack.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;

/// A frame that is alive: the end of it (what unwinders call its canonical address), which no other one has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame(usize);

unsafe extern "C" {
    fn _Unwind_Backtrace(visit: extern "C" fn(*mut c_void, *mut c_void) -> c_int, f: *mut c_void) -> c_int;
    fn _Unwind_GetCFA(context: *mut c_void) -> usize;
}

/// Calls `f` with the ends of the caller's frame and of its callers', from the inside, as long as it says so.
#[inline(never)]
fn walk(mut f: &mut dyn FnMut(Frame) -> bool) {
    extern "C" fn visit(context: *mut c_void, f: *mut c_void) -> c_int {
        const GO_ON: c_int = 0;
        const STOP: c_int = 4;
        // SAFETY: the pointer from below, for the time of the call; the unwinder's own context.
        let go_on = unsafe { (*f.cast::<&mut dyn FnMut(Frame) -> bool>())(Frame(_Unwind_GetCFA(context))) };
        if go_on { GO_ON } else { STOP }
    }
    // SAFETY: the function is called with this pointer before the call returns; it does not unwind, as neither `f` below does.
    unsafe { _Unwind_Backtrace(visit, (&raw mut f).cast()) };
}

/// The frame in which `value` lies, if that is not on the stack of the current task (or thread).
pub(crate) fn elsewhere<T>(value: &T) -> Option<Frame> {
    let place = ptr::from_ref(value) as usize;
    if is_own(place) {
        return None;
    }
    let mut found = None;
    walk(&mut |frame| {
        if frame.0 > place {
            found = Some(frame);
        }
        found.is_none()
    });
    found
}

/// Calls `f` with each frame of the caller's that is not on the stack of the current task (or thread).
pub(crate) fn each(mut f: impl FnMut(Frame)) {
    let here = 0u8;
    if is_own(ptr::from_ref(&here) as usize) {
        return;
    }
    walk(&mut |frame| {
        let goes_on = !is_own(frame.0);
        if goes_on {
            f(frame);
        }
        goes_on
    });
}

/// Does `place` lie on the stack of the current task (or thread)? If that is not known it does.
fn is_own(place: usize) -> bool {
    ec_tasks::own_stack().is_none_or(|stack| stack.contains(&place))
}
