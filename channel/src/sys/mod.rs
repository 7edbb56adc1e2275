//! System calls that do not wait, whatever mode the descriptor is in.

#![allow(unsafe_code)]

pub(crate) mod dispositions;
pub(crate) mod eventfd;
mod found;
pub(crate) mod futex;
pub(crate) mod interrupt;
pub(crate) mod mode;
pub(crate) mod poll;
pub(crate) mod signals;
pub(crate) mod sigpipe;

pub(crate) use poll::{known_now, poll, ready_now, told_now};

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Why the system call that has just been made failed.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// What the system call that failed last left, as it was when a signal handler began.
pub(crate) fn set_errno(errno: i32) {
    // SAFETY: errno is this thread's.
    unsafe { *libc::__errno_location() = errno };
}

/// The mask of a handler that nothing is to interrupt, say: frames of others would lie on its own, and a stack for signals may have room for two. (Those
/// of libc's own are in it, which sigfillset(3) leaves out.)
pub(crate) fn every_signal() -> libc::sigset_t {
    let mut all = MaybeUninit::uninit();
    // SAFETY: room for a set, which is one of bits: all of them are a valid value.
    unsafe {
        std::ptr::write_bytes(all.as_mut_ptr(), 0xff, 1);
        all.assume_init()
    }
}

/// A descriptor of the process of this number.
pub(crate) fn pidfd_open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed; the descriptor is new and ours.
    unsafe {
        match libc::syscall(libc::SYS_pidfd_open, pid, 0) {
            fd if fd < 0 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd as RawFd)),
        }
    }
}

/// Makes a call that does not wait, again if a signal has interrupted it. Its result, or minus its errno; `None`: it would wait.
#[inline]
pub(crate) fn now(mut call: impl FnMut() -> isize) -> Option<i32> {
    loop {
        let n = call();
        if n >= 0 {
            // The kernel never transfers more than INT_MAX bytes at once.
            return Some(n as i32);
        }
        match errno() {
            libc::EINTR => {}
            libc::EAGAIN => return None,
            errno => return Some(-errno),
        }
    }
}

/// Makes a call that may block, again if a signal has interrupted it. Its result, or minus its errno.
pub(crate) fn blocking(mut call: impl FnMut() -> isize) -> i32 {
    loop {
        match call() {
            // The kernel never transfers more than INT_MAX bytes at once.
            n if n >= 0 => return n as i32,
            _ => match errno() {
                libc::EINTR => {}
                errno => return -errno,
            },
        }
    }
}

/// What is told of a descriptor if this was asked for: errors always are.
pub(crate) fn with_errors(events: i16) -> i16 {
    events | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL
}

/// What one is told who asks for `events`; `None`: nothing.
pub(crate) fn told(revents: i16, events: i16) -> Option<i32> {
    let ready = revents & with_errors(events);
    (ready != 0).then(|| i32::from(ready as u16))
}

/// Nanoseconds since some point in time, to some milliseconds: a clock that costs less than others do.
#[inline]
pub(crate) fn roughly_now() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// For calls that count in milliseconds; -1: for ever. Rounded up, so that a timer is not waited for in vain just before it is due.
pub(crate) fn millis(timeout: Option<Duration>) -> i32 {
    timeout.map_or(-1, |t| t.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32)
}

/// Has the process rights that whoever started it has not? He is not to choose for it then.
pub(crate) fn is_setuid() -> bool {
    // SAFETY: no pointer is passed.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Ends the process with these words. By no logger, nor std's lock of stderr: the caller may hold a lock.
#[cold]
pub(crate) fn end_process(words: &str) -> ! {
    // SAFETY: the pointer and length are those of a live string.
    unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
    std::process::abort()
}

/// The kernel transfers at most this much in one call anyway.
pub(crate) fn clamp(len: usize) -> u32 {
    len.min(0x7fff_f000) as u32
}
