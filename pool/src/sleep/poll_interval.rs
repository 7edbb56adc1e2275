//! How often a busy worker looks up from its run queue: at its port (completions, timers), and at the injector (what threads without a
//! core have made ready).
//!
//! A queue that never empties must not starve them. Every 61 runs is cheap while runs are short. Where runs are long, a timer would be
//! late by 61 of them. So the number shrinks until the worker looks up about once in [`POLL_EVERY`].

use crate::sleep::tuning::{MOST_RUNS, POLL_EVERY};
use std::time::{Duration, Instant};

/// Counts a worker's runs.
pub(crate) struct PollInterval {
    left: u32,
    every: u32,
    last_look: Instant,
}

impl PollInterval {
    pub(crate) fn new(now: Instant) -> PollInterval {
        PollInterval { left: MOST_RUNS, every: MOST_RUNS, last_look: now }
    }

    /// For a worker that takes a core over: nobody has looked up there for a while, so it does at once.
    pub(crate) fn due_at_once(now: Instant) -> PollInterval {
        PollInterval { left: 1, ..PollInterval::new(now) }
    }

    /// Called before each run: is it time to look up?
    pub(crate) fn due(&mut self) -> bool {
        self.left -= 1;
        self.left == 0
    }

    /// The worker has looked, having made all the runs of one round since the last time.
    pub(crate) fn looked(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.last_look).max(Duration::from_nanos(1));
        let per_run = took.as_nanos() / u128::from(self.every);
        let fitting = POLL_EVERY.as_nanos() / per_run.max(1);
        // One short run among long ones proves little: down at once, up step by step.
        let most = u128::from(MOST_RUNS.min(2 * self.every));
        self.every = fitting.clamp(1, most) as u32;
        self.left = self.every;
        self.last_look = now;
    }

    /// The worker has looked, in full, because it had nothing to run: a round begins anew.
    pub(crate) fn restart(&mut self) {
        self.left = MOST_RUNS;
        self.every = MOST_RUNS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_until_due(interval: &mut PollInterval) -> u32 {
        (1..).find(|_| interval.due()).unwrap()
    }

    #[test]
    fn short_runs_are_looked_up_from_every_61() {
        let start = Instant::now();
        let mut interval = PollInterval::new(start);
        assert_eq!(runs_until_due(&mut interval), 61);
        interval.looked(start + Duration::from_micros(10));
        assert_eq!(runs_until_due(&mut interval), 61);
    }

    #[test]
    fn who_takes_over_looks_up_at_once_and_then_as_usual() {
        let start = Instant::now();
        let mut interval = PollInterval::due_at_once(start);
        assert_eq!(runs_until_due(&mut interval), 1);
        interval.looked(start + Duration::from_micros(10));
        assert_eq!(runs_until_due(&mut interval), 61);
    }

    #[test]
    fn long_runs_are_looked_up_from_after_each() {
        let start = Instant::now();
        let mut interval = PollInterval::new(start);
        runs_until_due(&mut interval);
        interval.looked(start + Duration::from_millis(61));
        assert_eq!(runs_until_due(&mut interval), 1);
    }

    #[test]
    fn the_number_falls_at_once_and_grows_step_by_step() {
        let mut now = Instant::now();
        let mut interval = PollInterval::new(now);
        let mut round = |took: Duration| {
            runs_until_due(&mut interval);
            now += took;
            interval.looked(now);
            interval.every
        };
        let (long, short) = (Duration::from_millis(61), Duration::from_nanos(100));
        assert_eq!(round(long), 1);
        let growing: Vec<u32> = (0..7).map(|_| round(short)).collect();
        assert_eq!(growing, [2, 4, 8, 16, 32, 61, 61]);
        assert_eq!(round(long), 1);
    }
}
