//! For who ends calls that the program makes: a signal whose handler only counts, so that a call returns with EINTR. (How the channel does that
//! itself: `sys/interrupt.rs`.)

use crate::sys::{self, interrupt};
use std::io;
use std::sync::atomic::Ordering;

/// A signal that is to be had for that: real-time, and the program has no handler for it. `None`: there is none left.
pub fn any_signal() -> Option<i32> {
    interrupt::signal()
}

/// As [`any_signal`], of those that `thread`, one of this process, lets through now. (Any, if the kernel does not tell.)
pub fn signal_open_in(thread: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap_or_default();
    let kept_out = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let kept_out = kept_out.and_then(|mask| u128::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    interrupt::signal_of(|signal| kept_out & 1 << (signal - 1) == 0)
}

/// Takes this very one.
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput): it is no real-time signal. [`ResourceBusy`](io::ErrorKind::ResourceBusy): the program handles
/// it, or ignores it.
pub fn take_signal(signal: i32) -> io::Result<()> {
    let realtime = libc::SIGRTMIN()..=libc::SIGRTMAX();
    let error = |kind, why: String| {
        Err(io::Error::new(kind, format!("signal {signal} cannot interrupt calls: {why}")))
    };
    if !realtime.contains(&signal) {
        let why = format!("it is not a real-time signal ({} to {})", realtime.start(), realtime.end());
        return error(io::ErrorKind::InvalidInput, why);
    }
    match interrupt::take(signal) {
        true => Ok(()),
        false => {
            error(io::ErrorKind::ResourceBusy, String::from("the program handles or ignores it already"))
        }
    }
}

/// Is it still one of those? (The program may have set a handler of its own.)
pub fn is_taken(signal: i32) -> bool {
    interrupt::is_ours(signal)
}

/// The calling thread lets `signal` through from now on; one that was kept out has been handled when this returns, and so has one that was sent
/// to this thread before the call. Gives whether the thread kept it out.
pub fn unblock(signal: i32) -> bool {
    interrupt::unblock(signal).unwrap_or(false)
}

/// The calling thread keeps `signal` out from now on.
pub fn block(signal: i32) {
    interrupt::block(signal);
}

/// The kernel's number of the calling thread.
pub fn this_thread() -> i32 {
    interrupt::this_thread()
}

/// Sends a taken `signal` to a thread of this process. `Ok(false)`: no more may be queued now.
///
/// # Errors
/// There is no such thread.
pub fn send(thread: i32, signal: i32) -> io::Result<bool> {
    if interrupt::send(thread, signal) {
        return Ok(true);
    }
    match sys::errno() {
        libc::ESRCH => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        _ => Ok(false),
    }
}

/// Another number than before, if a taken signal has reached `thread` meanwhile. (Or one of those that share its place.)
pub fn count_of(thread: i32) -> u32 {
    interrupt::count_of(thread).load(Ordering::Relaxed)
}

/// Calls `f`, and leaves errno as it was.
pub fn keeping_errno<R>(f: impl FnOnce() -> R) -> R {
    let errno = sys::errno();
    let result = f();
    sys::set_errno(errno);
    result
}
