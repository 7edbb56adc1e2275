//! Memory: of the process, its page tables, and the kernel's own.

use crate::out;

/// A look at the three, in bytes.
#[derive(Clone, Copy)]
pub struct Memory {
    rss: f64,
    tables: f64,
    kernel: f64,
}

impl Memory {
    pub fn now() -> Memory {
        let status = std::fs::read_to_string("/proc/self/status").expect("status");
        let system = std::fs::read_to_string("/proc/meminfo").expect("meminfo");
        Memory {
            rss: field(&status, "VmRSS:"),
            tables: field(&status, "VmPTE:"),
            kernel: field(&system, "Slab:") + field(&system, "KernelStack:"),
        }
    }

    /// Prints the figures of workload `idle`: what `n` tasks have added since `self`. The kernel's part is the whole
    /// system's growth, so it is as good as the system is quiet.
    pub fn report_idle(self, n: usize, secs: f64) {
        let (now, n) = (Memory::now(), n as f64);
        out(&[
            ("bytes", (now.rss - self.rss) / n),
            ("pte_bytes", (now.tables - self.tables) / n),
            ("kernel_bytes", (now.kernel - self.kernel) / n),
            ("s", secs),
        ]);
    }

    /// Bytes, with the page tables, that each of `n` tasks has added since `self`.
    pub fn grown_per(self, n: usize) -> f64 {
        let now = Memory::now();
        (now.rss + now.tables - self.rss - self.tables) / n as f64
    }
}

/// A line `name   N kB`, in bytes.
fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().trim_end_matches("kB").trim().parse::<f64>().expect(name) * 1024.0
}
