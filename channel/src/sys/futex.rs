//! Threads that wait for words in memory: futex(2).
//!
//! No signal ends these waits, and none is needed: whoever is to end one changes a word that it waits for as well.

#![allow(unsafe_code)]

use super::errno;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A word's wait that cannot be ended by another word looks for that so often.
const SLICE: Duration = Duration::from_millis(20);

/// What is zero until a wait is to end: in this process, for one who waits.
#[derive(Debug, Default)]
pub struct End(AtomicU32);

impl End {
    /// The wait is to end. Whoever waits is woken.
    pub(crate) fn come(&self) {
        self.0.store(1, Ordering::SeqCst);
        let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: a live word.
        unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), wake, i32::MAX) };
    }

    pub(crate) fn has_come(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }
}

/// Waits until `word`, which processes may share, is woken or another one than `value`, or the end comes. It may return early: the word is to
/// be looked at. An error: there is no such waiting.
///
/// # Safety
/// The word is valid.
pub(crate) unsafe fn until_other(word: *const AtomicU32, value: u32, end: &End) -> Result<(), i32> {
    /// As the kernel has it.
    #[repr(C)]
    struct Waiter {
        value: u64,
        word: u64,
        flags: u32,
        reserved: u32,
    }
    const OF_32_BITS: u32 = 2;
    let private = OF_32_BITS | libc::FUTEX_PRIVATE_FLAG as u32;
    let waiter = |value: u32, word: *const AtomicU32, flags| Waiter {
        value: value.into(),
        word: word.addr() as u64,
        flags,
        reserved: 0,
    };
    let both = [waiter(value, word, OF_32_BITS), waiter(0, &end.0, private)];
    let (no_flags, no_limit) = (0, ptr::null::<libc::timespec>());
    // SAFETY: two live words, by contract and since it is borrowed; there is no limit.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            both.as_ptr(),
            both.len(),
            no_flags,
            no_limit,
            libc::CLOCK_MONOTONIC,
        )
    };
    match if woken < 0 { errno() } else { 0 } {
        0 | libc::EAGAIN | libc::EINTR => Ok(()),
        // There is no such call before Linux 5.16, and not everywhere; or no memory for it.
        _ => wait_for(word.cast(), libc::FUTEX_WAIT, value, SLICE),
    }
}

/// It may return early.
fn wait_for(word: *const u32, how: i32, value: u32, at_most: Duration) -> Result<(), i32> {
    let limit =
        libc::timespec { tv_sec: at_most.as_secs() as libc::time_t, tv_nsec: at_most.subsec_nanos() as _ };
    // SAFETY: a word that the caller has said to be valid, and a live limit.
    let waited = unsafe { libc::syscall(libc::SYS_futex, word, how, value, &raw const limit) };
    match if waited < 0 { errno() } else { 0 } {
        0 | libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT => Ok(()),
        errno => Err(errno),
    }
}

/// Wakes all who wait for `word`, in any process.
pub(crate) fn wake(word: &AtomicU32) {
    // SAFETY: a live word.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}
