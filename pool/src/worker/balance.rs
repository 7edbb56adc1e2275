//! A worker that always has something to run takes from a core whose queue takes much longer.
//!
//! Others steal when they have nothing to run. Two cores that both have something would never even out: a task that yields, alone on
//! its core, would have as many turns as sixty on the other core together. So every [`EVERY`] a busy worker compares *rounds*. A round
//! of a core is the time in which each task that waits there runs once. If a round of another core takes more than twice as long as
//! one of its own, the worker takes tasks from there, until that is no longer so. It finds out how long a round takes by how many runs
//! there were since the last look. So a core whose CPU is slow, or whose worker stays in one run, is helped, too.

use crate::core::Stealer;
use crate::core::queues::Queues;
use crate::core::stats::bump;
use crate::worker::Worker;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Between two looks. (A second is to be fair on the whole. A look reads a line of each other core, which takes it away from there.)
const EVERY: Duration = Duration::from_millis(2);
/// So many batches are taken at most in one look: the port is to be looked at meanwhile, too.
const BATCHES: usize = 8;

/// When a worker looked last, and at which run it saw each core.
pub(super) struct Balance {
    last: Instant,
    runs: Vec<u64>,
}

impl Balance {
    pub(super) fn new(queues: &Queues, now: Instant) -> Balance {
        let runs = queues.stats.iter().map(|stats| stats.runs.load(Ordering::Relaxed)).collect();
        Balance { last: now, runs }
    }

    /// Is it time to look?
    fn due(&mut self, now: Instant) -> bool {
        let due = now.saturating_duration_since(self.last) >= EVERY;
        if due {
            self.last = now;
        }
        due
    }

    /// How many runs there were on `core` since the last look.
    fn runs_since(&mut self, core: usize, now: u64) -> u64 {
        now.wrapping_sub(std::mem::replace(&mut self.runs[core], now))
    }
}

/// So many tasks are on a core (the one that runs there among them), and it made so many runs lately.
#[derive(Clone, Copy)]
struct Load {
    tasks: usize,
    runs: u64,
}

impl Load {
    /// Does a round of this take so many times as long as one of `other`, and longer?
    fn is_longer(self, times: u128, other: Load) -> bool {
        self.tasks as u128 * u128::from(other.runs) > times * other.tasks as u128 * u128::from(self.runs)
    }
}

impl Worker<'_> {
    /// Called every now and then by a worker that does not run dry. (One that does searches, and takes what there is.)
    pub(super) fn help_the_longest(&mut self, now: Instant) {
        let Worker { context, shared, index, balance, .. } = self;
        if shared.queues.cores() == 1 || shared.forced.is_some() || !balance.due(now) {
            return;
        }
        let mut own = Load { tasks: 0, runs: 0 };
        let mut longest: Option<(&Stealer, Load)> = None;
        for (core, stealer) in shared.queues.stealers.iter().enumerate() {
            let runs = balance.runs_since(core, shared.queues.stats[core].runs.load(Ordering::Relaxed));
            let waiting = stealer.len();
            if core == *index {
                // (Between two runs: none is running.)
                own = Load { tasks: waiting, runs };
                continue;
            }
            let load = Load { tasks: waiting + 1, runs };
            if waiting > 0 && longest.is_none_or(|(_, longest)| load.is_longer(1, longest)) {
                longest = Some((stealer, load));
            }
        }
        let Some((other, mut load)) = longest else { return };
        for _ in 0..BATCHES {
            if own.tasks == 0 || !load.is_longer(2, own) {
                return;
            }
            let admit = shared.queues.admits();
            let taken = context.with_core(|core| core.move_from(other, admit)).unwrap_or(0);
            if taken == 0 {
                return;
            }
            bump(&shared.queues.stats[*index].steals);
            (own.tasks, load.tasks) = (own.tasks + taken, other.len() + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Load;

    fn is_helped(other: (usize, u64), own: (usize, u64)) -> bool {
        let load = |(tasks, runs)| Load { tasks, runs };
        load(other).is_longer(2, load(own))
    }

    #[test]
    fn a_queue_that_is_more_than_twice_as_long_is_helped() {
        assert!(is_helped((63, 1_000), (1, 1_000)));
        assert!(is_helped((3, 1_000), (1, 1_000)));
        assert!(!is_helped((2, 1_000), (1, 1_000)));
        assert!(!is_helped((1, 1_000), (63, 1_000)));
    }

    /// What is moved is not moved back.
    #[test]
    fn half_of_the_rest_is_not_taken_back() {
        for (other, own) in [(3, 1), (5, 2), (64, 1), (1_000, 10)] {
            assert!(is_helped((other, 100), (own, 100)));
            let moved = (other - 1usize).div_ceil(2);
            assert!(!is_helped((own + moved, 100), (other - moved, 100)), "{other} and {own}");
        }
    }

    #[test]
    fn a_core_that_runs_slowly_is_helped_earlier() {
        assert!(is_helped((10, 100), (10, 400)));
        assert!(!is_helped((10, 300), (10, 400)));
        assert!(is_helped((2, 0), (60, 400)), "its worker stays in one run");
        assert!(!is_helped((10, 0), (60, 0)), "so does this one");
    }
}
