//! How many cores a pool gets when nobody says so: the parallelism this process may really use.
//!
//! Two sources are asked and the smaller answer counts. `num_cpus` knows the scheduler's
//! affinity mask and the CPU quota of the process's own control group, but reads the quota only
//! once and not those of the groups above; the standard library climbs up to them.

/// The number of CPUs this process may use: limited by the affinity mask (`taskset`) and by the
/// CPU quota of its control group, version 1 or 2 (a quota of one and a half counts as two or as
/// one, whichever of the sources is lower). Never less than 1.
///
/// ```
/// assert!(ec_pool::available_cpus() >= 1);
/// ```
pub fn available_cpus() -> usize {
    let by_std = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
    num_cpus::get().min(by_std).max(1)
}
