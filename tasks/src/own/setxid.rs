//! `setuid` and its kin, called by anybody while tasks run.
//!
//! The kernel changes the user of one thread. libc has all threads do it, by a signal of its own. It goes on asking
//! each thread until the thread's *descriptor* says that it has. A worker that is in a task would write that into the
//! task's descriptor, and would be asked for ever. So our handler stands before libc's, and runs it on the thread's
//! own thread-locals.

#![allow(unsafe_code)]

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::switch;

/// `SIGSETXID`: the second of the signals that libc keeps for itself.
const SIGNAL: libc::c_int = 33;

/// The kernel's `struct sigaction`, since libc's function refuses its own signals.
#[repr(C)]
struct Action {
    handler: usize,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

type Handler = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// libc's handler. Written before ours is installed.
static LIBCS: AtomicUsize = AtomicUsize::new(0);

/// Puts our handler before libc's, which is there since the first thread was started.
pub(super) fn install() -> Result<(), String> {
    let failed =
        |what: &str| Err(format!("{what} for libc's signal {SIGNAL}: {}", std::io::Error::last_os_error()));
    // SAFETY: all zero is an action; the calls have places for what they give; ours has the type that
    // the flags of libc's promise (SA_SIGINFO is required below), and its restorer.
    unsafe {
        let mut action = mem::zeroed::<Action>();
        if rt_sigaction(ptr::null(), &mut action) != 0 {
            return failed("no answer");
        }
        if action.handler <= 1 {
            // This libc asks threads in no such way.
            return Ok(());
        }
        if action.flags & libc::SA_SIGINFO as libc::c_ulong == 0 {
            return Err(format!("libc's handler of signal {SIGNAL} is of another type"));
        }
        LIBCS.store(action.handler, Ordering::Release);
        action.handler = handle as *const () as usize;
        if rt_sigaction(&action, ptr::null_mut()) != 0 {
            return failed("no handler");
        }
    }
    Ok(())
}

/// # Safety
/// As for the system call.
unsafe fn rt_sigaction(new: *const Action, old: *mut Action) -> libc::c_long {
    // SAFETY: the caller's promise; the last argument is the size of the mask.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, SIGNAL, new, old, 8usize) }
}

unsafe extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: a handler of this type, handed what the kernel gave. It does not unwind.
    let libcs =
        || unsafe { mem::transmute::<usize, Handler>(LIBCS.load(Ordering::Acquire))(signal, info, context) };
    switch::step_out(libcs, false);
}
