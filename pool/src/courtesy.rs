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
//! Where that is so (the only worker awake has slept for less than [`BRIEF`], for one message), the worker also wakes another
//! one as *company*, which goes on searching for [`WHILE`]. The CPU that was asleep is busy then, so the kernel leaves the
//! two sides of the conversation on one CPU, where each finds the other's message as soon as it is written: nobody is to be
//! woken any more. Staying awake alone has the opposite effect, for it pushes the other side to the CPU that is asleep; so
//! a worker that may ask for company does it for [`SOON`] only, and one that has some not at all.
//!
//! But beside somebody who computes standing back costs a time slice, while a sleeper would get the CPU back at once; and
//! to wait for what does not come costs CPU time. So each is left out where it was in vain again and again. Company is
//! where messages come no sooner with it than without: because the other side thinks for longer, is on another machine or many,
//! or because CPUs wake up quickly.

use std::time::Duration;

/// Longer than a client takes to answer: somebody computes.
pub(crate) const KEPT: Duration = Duration::from_millis(1);
/// Nobody else wants the CPU.
pub(crate) const ALONE: Duration = Duration::from_micros(10);
/// For so long a worker looks again and again.
pub(crate) const WHILE: Duration = Duration::from_micros(50);
/// For so long if it may ask for company: what comes from the same CPU is there by then, and what does not comes from one
/// that had to be woken.
pub(crate) const SOON: Duration = Duration::from_micros(15);
/// A sleep that is shorter has cost as much as it gave.
pub(crate) const BRIEF: Duration = Duration::from_micros(100);
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

/// So many messages are watched before it is judged.
const TRIAL: u32 = 128;
/// So many more of these have to come soon with company than without. (Where it helps nearly all do at last; but the kernel
/// takes a while until it has both sides on one CPU.)
const WORTH: u32 = TRIAL / 4;
/// So many messages company is left out for at most.
const MOST_ALONE: u32 = 128 * TRIAL;
/// So many trials are compared with the same messages that came without company.
const MOST_TRIALS: u32 = 128;

/// Whether company pays, as the worker sees it that asks for it: of the messages that it sleeps shortly for, a trial is
/// watched without company, and then one with it after the other, as long as that pays.
#[derive(Default)]
pub(crate) struct Company {
    /// The next message is watched.
    watching: bool,
    /// Of this trial: the messages that were watched, and how many came soon.
    watched: u32,
    soon: u32,
    /// How many came soon in the trial without, if that was done, and how many trials with it were compared.
    alone: Option<u32>,
    trials: u32,
    /// Messages to leave it out for, and how many it was the last time.
    left: u32,
    pause: u32,
}

impl Company {
    /// Is it to be tried, with or without?
    pub(crate) fn due(&self) -> bool {
        self.left == 0
    }

    /// With?
    pub(crate) fn asks(&self) -> bool {
        self.alone.is_some()
    }

    /// Whether the next message is one of the trial: it has company if it [`asks`](Self::asks), or is alone.
    pub(crate) fn watch(&mut self, watching: bool) {
        self.watching = watching;
    }

    /// A message has come, after a sleep of so long. (Zero: it was found without one.)
    pub(crate) fn came_after(&mut self, slept: Duration) {
        self.left = self.left.saturating_sub(1);
        if !std::mem::take(&mut self.watching) {
            return;
        }
        self.watched += 1;
        self.soon += u32::from(slept < SOON);
        if self.watched == TRIAL {
            self.judge();
        }
    }

    fn judge(&mut self) {
        let soon = std::mem::take(&mut self.soon);
        self.watched = 0;
        let Some(alone) = self.alone else {
            self.alone = Some(soon);
            self.trials = 0;
            return;
        };
        self.trials += 1;
        let pays = soon >= alone + WORTH;
        if !pays || self.trials == MOST_TRIALS {
            self.alone = None;
        }
        self.pause = if pays { 0 } else { (2 * self.pause + TRIAL).min(MOST_ALONE) };
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

    const LATE: Duration = BRIEF;

    /// A trial in which the first `soon` messages come soon; whether it was one with company.
    fn trial(company: &mut Company, soon: u32) -> bool {
        let asks = company.asks();
        for message in 0..TRIAL {
            assert!(company.due());
            assert_eq!(company.asks(), asks);
            company.watch(true);
            company.came_after(if message < soon { Duration::ZERO } else { LATE });
        }
        asks
    }

    /// A trial without, then one with it; how many messages it is left out for then.
    fn left_out_after(company: &mut Company, alone: u32, with: u32) -> u32 {
        assert!(!trial(company, alone), "first without");
        assert!(trial(company, with), "then with it");
        let left_out = (0..).find(|_| {
            let due = company.due();
            if !due {
                company.came_after(LATE);
            }
            due
        });
        left_out.unwrap()
    }

    #[test]
    fn company_is_asked_for_as_long_as_a_quarter_of_the_messages_more_comes_soon() {
        for alone in [0, TRIAL / 2] {
            let mut company = Company::default();
            assert!(!trial(&mut company, alone));
            assert!((0..100).all(|_| trial(&mut company, alone + TRIAL / 4)));
            assert!(trial(&mut company, alone + TRIAL / 4 - 1));
            assert!(!company.due());
        }
    }

    #[test]
    fn from_time_to_time_it_is_compared_anew() {
        let mut company = Company::default();
        for _ in 0..3 {
            assert!(!trial(&mut company, 0));
            assert!((0..MOST_TRIALS).all(|_| trial(&mut company, TRIAL)));
        }
    }

    #[test]
    fn where_company_never_pays_it_is_hardly_ever_asked_for() {
        for soon in [0, TRIAL] {
            let mut company = Company::default();
            let left_out = (0..9).map(|_| left_out_after(&mut company, soon, soon) / TRIAL);
            assert_eq!(left_out.collect::<Vec<_>>(), [1, 3, 7, 15, 31, 63, 127, 128, 128]);
        }
    }

    #[test]
    fn when_company_pays_again_all_is_forgotten() {
        let mut company = Company::default();
        (0..5).for_each(|_| _ = left_out_after(&mut company, 0, 0));
        assert_eq!(left_out_after(&mut company, 0, TRIAL), 0);
        assert!(trial(&mut company, 0), "still compared with the same");
        let left_out = (0..).find(|_| {
            company.came_after(LATE);
            company.due()
        });
        assert_eq!(left_out, Some(TRIAL - 1));
    }

    #[test]
    fn messages_that_nobody_watches_say_nothing() {
        let mut company = Company::default();
        for _ in 0..2 * TRIAL {
            company.watch(false);
            company.came_after(LATE);
        }
        assert!(company.due() && !company.asks());
    }
}
