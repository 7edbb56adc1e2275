//! Whether a worker lets others have its CPU once more before it sleeps.
//!
//! What shares the CPU with it, a client or another worker, often brings the next completions as soon as it
//! may run. Then it is cheaper to stand back (`sched_yield`) and look again than to sleep and be woken: a sleep for
//! each small batch took a third of a server's time where server and clients share the CPUs. Where nobody else
//! wants the CPU it costs a microsecond, a fraction of what the sleep and the wake-up do.
//!
//! But beside somebody who computes it costs a time slice, while a sleeper would get the CPU back at once. So it is left
//! out where the CPU was kept again and again.

use std::time::Duration;

/// Longer than a client takes to answer: somebody computes.
const KEPT: Duration = Duration::from_millis(1);
/// So many short waits make up for a long one.
const SHORT: u32 = 4;
/// Short waits that are remembered at most.
const MOST_CREDIT: u32 = 4 * SHORT;
/// Without credit so many sleeps are let pass at most.
const MOST_PAUSE: u32 = 1023;

/// Of one worker.
#[derive(Default)]
pub(crate) struct Courtesy {
    /// Short waits that make up for long ones to come.
    credit: u32,
    /// Sleeps to let pass, and how many it was the last time.
    left: u32,
    pause: u32,
}

impl Courtesy {
    /// Called before a sleep: shall the worker stand back?
    pub(crate) fn due(&mut self) -> bool {
        if self.left == 0 {
            return true;
        }
        self.left -= 1;
        false
    }

    /// It has, and had the CPU back after so long.
    pub(crate) fn took(&mut self, time: Duration) {
        if time < KEPT {
            self.credit = (self.credit + 1).min(MOST_CREDIT);
            self.pause = 0;
            return;
        }
        match self.credit.checked_sub(SHORT) {
            Some(left) => self.credit = left,
            None => self.pause = (2 * self.pause + 1).min(MOST_PAUSE),
        }
        self.left = self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTLY: Duration = Duration::from_micros(20);

    fn sleeps_until_due(courtesy: &mut Courtesy) -> u32 {
        (0..).find(|_| courtesy.due()).unwrap()
    }

    fn pauses(courtesy: &mut Courtesy, count: usize) -> Vec<u32> {
        let mut pause = || {
            courtesy.took(KEPT);
            sleeps_until_due(courtesy)
        };
        (0..count).map(|_| pause()).collect()
    }

    #[test]
    fn it_is_done_before_each_sleep() {
        let mut courtesy = Courtesy::default();
        for _ in 0..100 {
            assert!(courtesy.due());
            courtesy.took(SHORTLY);
        }
    }

    #[test]
    fn beside_who_computes_it_is_hardly_ever_done() {
        let pauses = pauses(&mut Courtesy::default(), 11);
        assert_eq!(pauses, [1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023]);
    }

    #[test]
    fn a_long_wait_among_short_ones_does_not_count() {
        let mut courtesy = Courtesy::default();
        for _ in 0..100 {
            (0..SHORT).for_each(|_| courtesy.took(SHORTLY));
            courtesy.took(KEPT);
            assert!(courtesy.due());
        }
    }

    #[test]
    fn however_many_short_ones_there_were_a_few_long_ones_do() {
        let mut courtesy = Courtesy::default();
        (0..1000).for_each(|_| courtesy.took(SHORTLY));
        assert_eq!(pauses(&mut courtesy, 6), [0, 0, 0, 0, 1, 3]);
    }

    #[test]
    fn when_the_cpu_is_free_again_all_is_forgotten() {
        let mut courtesy = Courtesy::default();
        pauses(&mut courtesy, 5);
        courtesy.took(SHORTLY);
        assert!(courtesy.due());
        assert_eq!(pauses(&mut courtesy, 2), [1, 3]);
    }
}
