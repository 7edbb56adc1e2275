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
//! a worker that has company does it for [`SOON`] only.
//!
//! But beside somebody who computes standing back costs a time slice, while a sleeper would get the CPU back at once; and
//! to wait for what does not come, and company for somebody who thinks for longer, cost CPU time. So each is left out where
//! it was in vain again and again.

use std::time::Duration;

/// Longer than a client takes to answer: somebody computes.
pub(crate) const KEPT: Duration = Duration::from_millis(1);
/// Nobody else wants the CPU.
pub(crate) const ALONE: Duration = Duration::from_micros(10);
/// For so long a worker looks again and again.
pub(crate) const WHILE: Duration = Duration::from_micros(50);
/// For so long if it has company: what comes from the same CPU is there by then, and what does not comes from one that
/// had to be woken.
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

/// So often company is asked for before it is judged.
const TRIAL: u32 = 128;
/// It pays if the next message came soon at least so often. (Mostly it does where it helps at all; but the kernel takes a
/// while until it has both sides on one CPU.)
const WORTH: u32 = TRIAL / 4;
/// So many messages it is done without at most.
const MOST_ALONE: u32 = 128 * TRIAL;

/// Whether company pays, as the worker sees it that asks for it.
#[derive(Default)]
pub(crate) struct Company {
    /// It has some since the last message.
    has: bool,
    /// How often it had, in this trial, and how often the next message came soon.
    tried: u32,
    paid: u32,
    /// Messages to do without, and how many it was the last time.
    left: u32,
    pause: u32,
}

impl Company {
    /// Is it worth it?
    pub(crate) fn due(&self) -> bool {
        self.left == 0
    }

    /// It was asked for, and whether somebody was there to be woken.
    pub(crate) fn asked(&mut self, has: bool) {
        self.has = has;
    }

    /// A message has come, after a sleep of so long. (Zero: it was found without one.)
    pub(crate) fn came_after(&mut self, slept: Duration) {
        self.left = self.left.saturating_sub(1);
        if !std::mem::take(&mut self.has) {
            return;
        }
        self.tried += 1;
        self.paid += u32::from(slept < SOON);
        if self.tried < TRIAL {
            return;
        }
        let pause = if self.paid >= WORTH { 0 } else { (2 * self.pause + TRIAL).min(MOST_ALONE) };
        *self = Company { left: pause, pause, ..Company::default() };
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

    /// A trial in which the first `soon` messages come soon; how many are then done without.
    fn messages_alone_after(company: &mut Company, soon: u32) -> u32 {
        for message in 0..TRIAL {
            assert!(company.due());
            company.asked(true);
            company.came_after(if message < soon { Duration::ZERO } else { LATE });
        }
        let alone = (0..).find(|_| {
            let due = company.due();
            company.came_after(LATE);
            due
        });
        alone.unwrap()
    }

    #[test]
    fn company_is_asked_for_as_long_as_a_quarter_of_the_messages_comes_soon() {
        let mut company = Company::default();
        for _ in 0..10 {
            assert_eq!(messages_alone_after(&mut company, TRIAL / 4), 0);
        }
        assert_eq!(messages_alone_after(&mut company, TRIAL / 4 - 1), TRIAL);
    }

    #[test]
    fn where_company_never_pays_it_is_hardly_ever_asked_for() {
        let mut company = Company::default();
        let alone: Vec<u32> = (0..9).map(|_| messages_alone_after(&mut company, 0) / TRIAL).collect();
        assert_eq!(alone, [1, 3, 7, 15, 31, 63, 127, 128, 128]);
    }

    #[test]
    fn when_company_pays_again_all_is_forgotten() {
        let mut company = Company::default();
        (0..5).for_each(|_| _ = messages_alone_after(&mut company, 0));
        assert_eq!(messages_alone_after(&mut company, TRIAL), 0);
        assert_eq!(messages_alone_after(&mut company, 0), TRIAL);
    }

    #[test]
    fn company_that_nobody_could_keep_says_nothing() {
        let mut company = Company::default();
        for _ in 0..2 * TRIAL {
            company.asked(false);
            company.came_after(LATE);
        }
        assert!(company.due());
    }
}
