//! What a pool counts. Each worker counts for itself, on a cache line of its own; reading adds up.

use crate::core::stats::CoreStats;
use crate::worker::shared::Shared;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A pool's numbers at one moment. They are read one after the other while the pool goes on, so they need
/// not fit each other to the last unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Cores: how many tasks can run at once.
    pub cores: usize,
    /// Worker threads, whatever they do. Those that are not among the next four run tasks with a core.
    pub workers: usize,
    /// Workers that sleep in their port.
    pub workers_asleep: usize,
    /// Workers that look for work.
    pub workers_searching: usize,
    /// Workers inside a task or a handler that has blocked its thread or computes: their core was handed over, or they
    /// never had one for it.
    pub workers_stray: usize,
    /// Workers that wait for a core, and leave after a while.
    pub workers_spare: usize,
    /// The most workers there were at once.
    pub workers_peak: usize,
    /// Threads started so far beyond the cores.
    pub grown: u64,
    /// Those that have left again because nobody needed them.
    pub shrunk: u64,
    /// How often a core was handed over.
    pub handed_over: u64,
    /// How often a task began its run on a spare thread, without a core, because it had blocked its thread in the run before, or
    /// because every core is kept (where the kernel has refused the barrier).
    pub lent: u64,
    /// How often the cap on threads was met, or nearly: see [`PoolEvent::AtCap`](crate::PoolEvent::AtCap).
    pub cap_hits: u64,
    /// How often the operating system gave no thread.
    pub threads_refused: u64,
    /// The longest that a core was held up before it was handed over.
    pub longest_stall: Duration,
    /// How often the monitor has looked at the cores. It does not while all of them sleep.
    pub monitor_looks: u64,
    /// Tasks spawned so far.
    pub tasks_spawned: u64,
    /// Tasks that have ended.
    pub tasks_finished: u64,
    /// Tasks that have not.
    pub tasks_live: u64,
    /// How often a worker took work from another's queue.
    pub steals: u64,
    /// How often a sleeping worker was woken because there was something to run.
    pub wakeups: u64,
    /// How often one was woken as a partner of the only worker awake, which was in a conversation: the partner stays up for a
    /// moment, so that the next message finds no CPU asleep. Not counted in `wakeups`.
    pub company: u64,
    /// How often a worker went to sleep, the times included when something came on the way.
    pub sleeps: u64,
    /// Ready tasks and handler calls that came from outside and have not been taken yet.
    pub injected: usize,
    /// Ready tasks and handler calls in each core's queue.
    pub queued: Vec<usize>,
    /// Request events posted to the channel so far, the tasks' own waits included.
    pub events_posted: u64,
    /// Requests that have come back, the cancelled ones included.
    pub events_completed: u64,
    /// Requests that came back cancelled.
    pub events_cancelled: u64,
    /// Requests that neither came back nor are in flight. Always 0.
    pub events_lost: u64,
}

impl Metrics {
    pub(crate) fn of(shared: &Shared) -> Metrics {
        if ec_tasks::forked() {
            // The pool belongs to the parent; one of its locks may be held for ever here.
            return Metrics::default();
        }
        let (spawned, finished) = shared.life.tasks();
        let (asleep, searching) = shared.idle.counts();
        let channel = shared.channel.metrics();
        let sum = |counter: fn(&CoreStats) -> &AtomicU64| {
            shared.queues.stats.iter().map(|stats| counter(stats).load(Ordering::Relaxed)).sum()
        };
        let (threads, counts) = (&shared.size.threads, &shared.size.threads.counts);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            cores: shared.queues.cores(),
            workers: shared.life.running_workers(),
            workers_asleep: asleep,
            workers_searching: searching,
            workers_stray: threads.strays(),
            workers_spare: threads.spares.len(),
            workers_peak: counts.peak.load(Ordering::Relaxed),
            grown: count(&counts.grown),
            shrunk: count(&counts.shrunk),
            handed_over: count(&counts.handed_over),
            lent: count(&counts.lent),
            cap_hits: count(&counts.cap_hits),
            threads_refused: count(&counts.refused),
            longest_stall: Duration::from_micros(count(&counts.longest_stall)),
            monitor_looks: count(&counts.looks),
            tasks_spawned: spawned,
            tasks_finished: finished,
            tasks_live: spawned - finished,
            steals: sum(|stats| &stats.steals),
            wakeups: shared.idle.wakeups(),
            company: shared.idle.partners(),
            sleeps: sum(|stats| &stats.sleeps),
            injected: shared.queues.injector.len(),
            queued: shared.queues.stealers.iter().map(|queue| queue.len()).collect(),
            events_posted: channel.posted,
            events_completed: channel.completed,
            events_cancelled: channel.cancelled,
            events_lost: channel.posted.saturating_sub(channel.completed + channel.in_flight),
        }
    }
}
