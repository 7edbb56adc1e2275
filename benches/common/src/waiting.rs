//! Helpers of the workloads in which tasks wait for one another.

use crate::{Args, out};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Computes a little: `steps` of a generator, two nanoseconds each or so.
pub fn work(steps: usize) {
    let mut word = black_box(0x9E37_79B9_7F4A_7C15u64);
    for _ in 0..steps {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
    }
    black_box(word);
}

/// How many sections of a contended lock, by how many tasks, and the steps of work in one and between two.
pub struct Sections {
    pub each: usize,
    pub tasks: usize,
    pub inside: usize,
    pub outside: usize,
}

impl Sections {
    pub fn of(a: &Args) -> Sections {
        let (n, tasks) = (a.num("n", 1_000_000), a.num("tasks", 8));
        Sections { each: n / tasks, tasks, inside: a.num("inside", 20), outside: a.num("outside", 20) }
    }
}

/// Becomes true after so many seconds, by a thread of its own: no runtime can be late with it.
pub fn over_after(secs: f64) -> Arc<AtomicBool> {
    let over = Arc::new(AtomicBool::new(false));
    let flag = over.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs_f64(secs));
        flag.store(true, Relaxed);
    });
    over
}

/// Prints how even `counts` are: what the least and the most have got, in parts of what each should have.
pub fn report_shares(counts: &[u64], secs: f64) {
    let all: u64 = counts.iter().sum();
    let fair = all as f64 / counts.len() as f64;
    let least = counts.iter().min().copied().unwrap_or_default() as f64;
    let most = counts.iter().max().copied().unwrap_or_default() as f64;
    out(&[("share", least / fair), ("most", most / fair), ("ops_s", all as f64 / secs)]);
}

/// A line of a chat, shared by all queues that it is in.
pub type Line = Arc<[u8]>;
