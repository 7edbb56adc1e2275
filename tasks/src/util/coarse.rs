//! A clock for people, who want to know since when something is so: exact to some milliseconds, and nearly free.
//!
//! The kernel's coarse clock takes some nanoseconds to read. Where even that is too much, a tick is read: the time at which somebody has
//! last looked at the clock. A pool sees to it that there is one every few milliseconds while a task may run. It keeps its promise in
//! three places: its monitor ticks at each look; a worker ticks that wakes up after a millisecond or more; and so does a task that suspends on a thread
//! that has lost its core, for then the monitor may be asleep.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Milliseconds, by the clock of all of these; 0 before the first.
static TICK: AtomicU64 = AtomicU64::new(0);

/// Milliseconds on the kernel's coarse clock: a few nanoseconds to read, and exact to a tick of the kernel's.
pub fn now() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// It is now what [`now`] says.
pub fn tick() -> u64 {
    let now = now();
    TICK.store(now, Ordering::Relaxed);
    now
}

/// When the last tick was. 0: nobody has ever ticked.
#[inline]
pub fn last_tick() -> u64 {
    TICK.load(Ordering::Relaxed)
}

/// How long ago `then` is.
pub fn since(then: u64) -> Duration {
    Duration::from_millis(now().saturating_sub(then))
}
