//! What was done, of all runtimes together.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use event_channel::runtime::Metrics;

/// A number that grows.
pub struct Count(AtomicU64);

impl Count {
    const fn new() -> Count {
        Count(AtomicU64::new(0))
    }

    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn at_least(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.load(Ordering::Relaxed).fmt(f)
    }
}

/// Calls that blocked a thread for real.
pub static BLOCKS: Count = Count::new();
/// Cancellations that were delivered.
pub static CANCELS: Count = Count::new();
/// Panics that were joined.
pub static PANICS: Count = Count::new();
/// Bytes that were there and back.
pub static BYTES: Count = Count::new();
/// Messages that were sent to a mailbox.
pub static MESSAGES: Count = Count::new();
/// By how much a timer came late, at most, in microseconds.
pub static LATEST: Count = Count::new();

static RUNTIMES: Count = Count::new();
static TASKS: Count = Count::new();
static GROWN: Count = Count::new();
static SHRUNK: Count = Count::new();
static HANDED_OVER: Count = Count::new();
static LENT: Count = Count::new();
static PEAK: Count = Count::new();
static CAP_HITS: Count = Count::new();
static STALL: Count = Count::new();

/// A runtime has ended.
pub fn add(metrics: &Metrics) {
    RUNTIMES.add(1);
    TASKS.add(metrics.tasks_finished);
    GROWN.add(metrics.grown);
    SHRUNK.add(metrics.shrunk);
    HANDED_OVER.add(metrics.handed_over);
    LENT.add(metrics.lent);
    CAP_HITS.add(metrics.cap_hits);
    PEAK.at_least(metrics.workers_peak as u64);
    STALL.at_least(metrics.longest_stall.as_micros() as u64);
}

/// All of it, on one line.
pub fn line() -> String {
    format!(
        "{TASKS} tasks in {RUNTIMES} runtimes, {BLOCKS} blocks, {CANCELS} cancels, {PANICS} panics, {BYTES} bytes, \
         {MESSAGES} messages, grown {GROWN}, shrunk {SHRUNK}, handed over {HANDED_OVER}, lent {LENT}, peak {PEAK} threads, \
         {CAP_HITS} cap hits, longest stall {STALL} us, latest timer {LATEST} us"
    )
}
