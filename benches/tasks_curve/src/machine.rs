//! The machine: what a reader of the figures needs to know of it, and how many tasks it has room for.

use crate::child::Figures;
use crate::report::{bytes, grouped};
use std::fmt;
use std::fs::read_to_string;

/// Kernel memory of a thread that no process is charged for in its resident bytes: its stack and its records.
const KERNEL_PER_THREAD: f64 = 32.0 * 1024.0;
/// The share of the available memory that a measurement may take.
const SHARE: f64 = 0.8;
/// Mappings left for everything else.
const OTHER_MAPPINGS: usize = 500;

pub struct Machine {
    pub processor: String,
    pub processors: usize,
    pub kernel: String,
    pub libc: String,
    pub memory: f64,
    pub guards: &'static str,
}

impl Machine {
    pub fn look() -> Machine {
        let cpuinfo = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
        let release = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        // Not what a provider has added: numbers are enough.
        let kernel = release.split('-').next().unwrap_or_default().trim().to_owned();
        // A stack shows which guards there are.
        let probe = event_channel::run(ec_tasks::stack_stats);
        let guards = match probe.guard {
            ec_tasks::GuardKind::Marked => "MADV_GUARD_INSTALL",
            _ => "mprotect",
        };
        Machine {
            processor: model.unwrap_or("unknown processor").trim().to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel,
            libc: libc_version(),
            memory: meminfo("MemTotal:"),
            guards,
        }
    }

    /// How many of `tasks` there is room for, if each costs what it did in the `last` measurement; and the reason
    /// if it is fewer.
    pub fn room_for(&self, tasks: usize, last: &Figures) -> (usize, Option<String>) {
        let each = need(1, last);
        let available = available();
        let by_memory = if each > 0.0 { (available * SHARE / each) as usize } else { usize::MAX };
        let limit = read_to_string("/proc/sys/vm/max_map_count").ok();
        let limit: usize = limit.and_then(|words| words.trim().parse().ok()).unwrap_or(65_530);
        let mappings = last.mappings / last.tasks as f64;
        // Slabs are few; only what has mappings of its own comes to the limit.
        let by_mappings = if mappings < 0.5 {
            usize::MAX
        } else {
            (limit - OTHER_MAPPINGS.min(limit)) / mappings.ceil() as usize
        };
        let fits = rounded_down(by_memory.min(by_mappings));
        if fits >= tasks {
            return (tasks, None);
        }
        let why = if by_memory <= by_mappings {
            let need = bytes(each * tasks as f64);
            format!(
                "{} tasks need about {need}, this machine has {} available",
                grouped(tasks),
                bytes(available)
            )
        } else {
            let what =
                if last.threads * 2.0 > last.tasks as f64 { "a thread each" } else { "guards by mprotect" };
            format!(
                "{} tasks need {:.0} mappings each ({what}), vm.max_map_count is {limit}",
                grouped(tasks),
                mappings.ceil()
            )
        };
        (fits, Some(format!("{why}: the largest is {}", grouped(fits))))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, processors, kernel, libc, memory, guards } = self;
        let memory = bytes(*memory);
        write!(f, "{processors} x {processor}, {memory}, Linux {kernel}, {libc}, guards by {guards}")
    }
}

/// The memory for so many tasks, if each costs what it did in the `last` measurement.
pub fn need(tasks: usize, last: &Figures) -> f64 {
    (last.resident + last.page_tables + last.threads * KERNEL_PER_THREAD) / last.tasks as f64 * tasks as f64
}

/// To two digits.
fn rounded_down(number: usize) -> usize {
    let mut unit = 1;
    while number / unit >= 100 {
        unit *= 10;
    }
    number / unit * unit
}

fn meminfo(name: &str) -> f64 {
    let text = read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}

/// The memory that can be had: the system's, or what is left of the control group's.
fn available() -> f64 {
    let group = |file: &str| {
        let own = read_to_string("/proc/self/cgroup").ok()?;
        let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end_matches('/').to_owned();
        read_to_string(format!("/sys/fs/cgroup{path}/{file}")).ok()?.trim().parse::<f64>().ok()
    };
    let left = group("memory.max").zip(group("memory.current")).map(|(most, now)| (most - now).max(0.0));
    meminfo("MemAvailable:").min(left.unwrap_or(f64::INFINITY))
}

#[cfg(target_env = "gnu")]
fn libc_version() -> String {
    // SAFETY: a constant string of the C library's.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(target_env = "gnu"))]
fn libc_version() -> String {
    String::from("a C library other than glibc")
}
