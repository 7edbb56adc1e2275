//! How many cores a pool gets when nobody says so: the parallelism this process may really use.
//!
//! Two sources are asked and the smaller answer counts. `num_cpus` knows the scheduler's
//! affinity mask and the CPU quota of the process's own control group, but reads the quota only
//! once and not those of the groups above; the standard library climbs up to them.

use std::sync::atomic::{AtomicU8, Ordering};

/// The number of CPUs this process may use: limited by the affinity mask (`taskset`) and by the
/// CPU quota of its control group, version 1 or 2 (a quota of one and a half counts as two or as
/// one, whichever of the sources is lower). Never less than 1.
///
/// ```
/// assert!(ec_pool::available_cpus() >= 1);
/// ```
pub fn available_cpus() -> usize {
    let by_std = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
    match by_num_cpus().unwrap_or(usize::MAX).min(by_std) {
        // Neither has an answer.
        0 | usize::MAX => 1,
        cpus => cpus,
    }
}

/// Its first call reads files inside a `Once`, and an allocator that begins a pool meanwhile would wait there for itself. `None`:
/// somebody is in that call, so this is to be found out otherwise.
fn by_num_cpus() -> Option<usize> {
    const NOT_ASKED: u8 = 0;
    const ASKED: u8 = 1;
    const KNOWN: u8 = 2;
    static STATE: AtomicU8 = AtomicU8::new(NOT_ASKED);
    match STATE.compare_exchange(NOT_ASKED, ASKED, Ordering::Acquire, Ordering::Acquire) {
        Err(ASKED) => None,
        _ => {
            let cpus = num_cpus::get();
            STATE.store(KNOWN, Ordering::Release);
            Some(cpus)
        }
    }
}
