//! Whether something pays that a worker does before it parks. It is done as long as it pays, and rarely where it was in vain again and
//! again. What is in vain costs CPU time, or a time slice, each time.

use crate::sleep::tuning::{MOST_CREDIT, MOST_PAUSE, SHORT};

/// Whether it pays, as one worker sees it.
#[derive(Default)]
pub(crate) struct Payoff {
    /// Times that it paid, which make up for those to come that it does not.
    credit: u32,
    /// Sleeps to let pass, and how many it was the last time.
    left: u32,
    pause: u32,
}

impl Payoff {
    /// Called before a sleep: is it worth it?
    pub(crate) fn due(&mut self) -> bool {
        if self.left == 0 {
            return true;
        }
        self.left -= 1;
        false
    }

    /// It was done, and whether it paid.
    pub(crate) fn record(&mut self, paid: bool) {
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

    fn sleeps_until_due(payoff: &mut Payoff) -> u32 {
        (0..).find(|_| payoff.due()).unwrap()
    }

    fn pauses(payoff: &mut Payoff, count: usize) -> Vec<u32> {
        let mut pause = || {
            payoff.record(false);
            sleeps_until_due(payoff)
        };
        (0..count).map(|_| pause()).collect()
    }

    #[test]
    fn it_is_done_before_each_sleep() {
        let mut payoff = Payoff::default();
        for _ in 0..100 {
            assert!(payoff.due());
            payoff.record(true);
        }
    }

    #[test]
    fn where_it_never_pays_it_is_hardly_ever_done() {
        let pauses = pauses(&mut Payoff::default(), 11);
        assert_eq!(pauses, [1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023]);
    }

    #[test]
    fn once_in_vain_among_many_times_does_not_count() {
        let mut payoff = Payoff::default();
        for _ in 0..100 {
            (0..SHORT).for_each(|_| payoff.record(true));
            payoff.record(false);
            assert!(payoff.due());
        }
    }

    #[test]
    fn however_often_it_paid_a_few_times_in_vain_count() {
        let mut payoff = Payoff::default();
        (0..1000).for_each(|_| payoff.record(true));
        assert_eq!(pauses(&mut payoff, 6), [0, 0, 0, 0, 1, 3]);
    }

    #[test]
    fn when_it_pays_again_all_is_forgotten() {
        let mut payoff = Payoff::default();
        pauses(&mut payoff, 5);
        payoff.record(true);
        assert!(payoff.due());
        assert_eq!(pauses(&mut payoff, 2), [1, 3]);
    }
}
