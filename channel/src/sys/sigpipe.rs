//! The signal that a write raises in its thread if nobody reads the pipe any more.
//!
//! Sends to sockets are told by a flag to do without it. Writes have no such flag before Linux 6.18. So where the program does not ignore it,
//! it is held back in this thread for the length of the call, and taken out again.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;

/// The program takes no notice of it, as Rust programs do unless they ask for it.
pub(crate) fn is_ignored() -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: room for the answer, which is there if the call has succeeded.
    unsafe {
        libc::sigaction(libc::SIGPIPE, ptr::null(), now.as_mut_ptr()) == 0
            && now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Makes a write that raises it nowhere. Its result, or minus its errno.
pub(crate) fn without(write: impl FnOnce() -> Option<i32>) -> Option<i32> {
    if is_ignored() {
        return write();
    }
    held_back(libc::SIGPIPE, libc::EPIPE, write)
}

/// Makes a call that raises a signal in its thread if it fails with this error. It is raised nowhere.
pub(crate) fn held_back(signal: i32, errno: i32, call: impl FnOnce() -> Option<i32>) -> Option<i32> {
    let (mut alone, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: room for two sets; each is there once the call has filled it. (These calls fail for no such arguments.)
    unsafe {
        libc::sigemptyset(alone.as_mut_ptr());
        libc::sigaddset(alone.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, alone.as_ptr(), before.as_mut_ptr());
    }
    // (One that was there before is somebody else's, and another one does not add to it.)
    let was_pending = is_pending(signal);
    let result = call();
    // SAFETY: as above; no time is waited for.
    unsafe {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        if result == Some(-errno) && !was_pending {
            libc::sigtimedwait(alone.as_ptr(), ptr::null_mut(), &at_once);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
    }
    result
}

fn is_pending(signal: i32) -> bool {
    let mut pending = MaybeUninit::uninit();
    // SAFETY: room for a set, which is there if the call has succeeded.
    unsafe { libc::sigpending(pending.as_mut_ptr()) == 0 && libc::sigismember(pending.as_ptr(), signal) == 1 }
}
