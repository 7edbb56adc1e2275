//! Whether a worker that has nothing to do looks once more before it sleeps, and for how long.
//!
//! What shares the CPU with it, a client or another worker, often brings the next completions as soon as it
//! may run. Then it is cheaper to stand back (`sched_yield`) and look again than to sleep and be woken: a sleep for
//! each small batch took a third of a server's time where server and clients share the CPUs. Where nobody else
//! wants the CPU it costs a microsecond, a fraction of what the sleep and the wake-up do.
//!
//! And where the next completion comes within [`WHILE`], it is cheaper to stand back for so long than to sleep: to wake a CPU
//! that has gone to sleep takes as long, and both sides of a conversation pay it for each message.
//!
//! But beside somebody who computes standing back costs a time slice, while a sleeper would get the CPU back at once; and
//! to wait for what does not come costs CPU time. So each is left out where it was in vain again and again. (Where a worker
//! may wake another one instead of waiting itself: `company.rs`.)

use std::time::Duration;

/// Longer than a client takes to answer: somebody computes.
pub(crate) const KEPT: Duration = Duration::from_millis(1);
/// Nobody else wants the CPU.
pub(crate) const ALONE: Duration = Duration::from_micros(10);
/// For so long a worker looks again and again.
pub(crate) const WHILE: Duration = Duration::from_micros(50);
/// So many times that it paid make up for once that it did not.
const SHORT: u32 = 4;
/// Times that are remembered at most.
const MOST_CREDIT: u32 = 4 * SHORT;
/// Without credit so many sleeps are let pass at most.
const MOST_PAUSE: u32 = 1023;

/// Whether it pays, as one worker sees it.
#[derive(Default)]
pub(crate) struct Courtesy {
    /// Times that it paid, which make up for those to come that it does not.
    credit: u32,
    /// Sleeps to let pass, and how many it was the last time.
    left: u32,
    pause: u32,
}

impl Courtesy {
    /// Called before a sleep: is it worth it?
    pub(crate) fn due(&mut self) -> bool {
        if self.left == 0 {
            return true;
        }
        self.left -= 1;
        false
    }

    /// It was done, and whether it paid.
    pub(crate) fn paid(&mut self, paid: bool) {
        if paid {
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

    fn sleeps_until_due(courtesy: &mut Courtesy) -> u32 {
        (0..).find(|_| courtesy.due()).unwrap()
    }

    fn pauses(courtesy: &mut Courtesy, count: usize) -> Vec<u32> {
        let mut pause = || {
            courtesy.paid(false);
            sleeps_until_due(courtesy)
        };
        (0..count).map(|_| pause()).collect()
    }

    #[test]
    fn it_is_done_before_each_sleep() {
        let mut courtesy = Courtesy::default();
        for _ in 0..100 {
            assert!(courtesy.due());
            courtesy.paid(true);
        }
    }

    #[test]
    fn where_it_never_pays_it_is_hardly_ever_done() {
        let pauses = pauses(&mut Courtesy::default(), 11);
        assert_eq!(pauses, [1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023]);
    }

    #[test]
    fn once_in_vain_among_many_times_does_not_count() {
        let mut courtesy = Courtesy::default();
        for _ in 0..100 {
            (0..SHORT).for_each(|_| courtesy.paid(true));
            courtesy.paid(false);
            assert!(courtesy.due());
        }
    }

    #[test]
    fn however_often_it_paid_a_few_times_in_vain_count() {
        let mut courtesy = Courtesy::default();
        (0..1000).for_each(|_| courtesy.paid(true));
        assert_eq!(pauses(&mut courtesy, 6), [0, 0, 0, 0, 1, 3]);
    }

    #[test]
    fn when_it_pays_again_all_is_forgotten() {
        let mut courtesy = Courtesy::default();
        pauses(&mut courtesy, 5);
        courtesy.paid(true);
        assert!(courtesy.due());
        assert_eq!(pauses(&mut courtesy, 2), [1, 3]);
    }
}
