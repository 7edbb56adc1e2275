//! A clock that goes by its readings. Under valgrind a program is some fifty times slower: by the true clock the
//! workers would look up more often than they do, by another number each time, and the timer wheel would turn.

use std::sync::atomic::{AtomicI64, Ordering};

/// What passes from one reading to the next.
const STEP: i64 = 50;
const SECOND: i64 = 1_000_000_000;

static NOW: AtomicI64 = AtomicI64::new(1_000_000 * SECOND);

/// Stands before libc's for all Rust in this program.
///
/// # Safety
/// As for libc's function.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(_: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    let now = NOW.fetch_add(STEP, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    unsafe { time.write(libc::timespec { tv_sec: now / SECOND, tv_nsec: now % SECOND }) };
    0
}
