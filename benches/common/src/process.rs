//! What a program asks of the system for itself.

/// The processor time of this process, user and system.
pub fn cpu_secs() -> f64 {
    // SAFETY: zeroes are a valid rusage, and the call fills in this one.
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut used);
        used
    };
    let secs = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    secs(used.ru_utime) + secs(used.ru_stime)
}

/// Pins the calling thread, and those that it will start.
pub fn pin(cpu: usize) {
    // SAFETY: zeroes are the empty set; `cpu` is a small number, and the call reads the set only.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// Allows as many descriptors as this process may allow itself.
pub fn raise_descriptors() {
    // SAFETY: both calls get a valid rlimit.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}

/// Ends the process by SIGALRM if it still runs then: nothing is left behind when the driver is killed.
pub fn die_after(secs: usize) {
    // SAFETY: no memory is involved, and nobody else sets an alarm.
    unsafe { libc::alarm(secs as u32) };
}

/// How many mappings the kernel allows a process. Stacks with a guard each take two.
pub fn most_mappings() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(65_530)
}
