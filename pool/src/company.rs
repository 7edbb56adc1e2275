//! Whether the worker that serves a conversation wakes another one as company.
//!
//! Where the only worker awake has slept for less than [`BRIEF`], for one message, it wakes another one as *company*, which goes on
//! searching for [`WHILE`](crate::courtesy::WHILE). The CPU that was asleep is busy then, so the kernel leaves the
//! two sides of the conversation on one CPU, where each finds the other's message as soon as it is written: nobody is to be
//! woken any more. Staying awake alone has the opposite effect, for it pushes the other side to the CPU that is asleep; so
//! a worker that may ask for company does it for [`SOON`] only, and one that has some not at all.
//!
//! Company is left out where messages do not come quickly with it, and hardly later without, or so slowly that there is little to
//! gain: because the other side thinks for longer or is far away. (Where it helps the messages do not come quickly at once: it
//! takes the kernel up to some tenths of a second until both sides are on one CPU. And once they are, trying how it is without
//! would part them again. So it is with company that a conversation begins, and nothing is tried as long as all is well.)

use std::time::{Duration, Instant};

/// For so long a worker that may ask for company looks again: what comes from the same CPU is there by then, what does not
/// comes from one that had to be woken.
pub(crate) const SOON: Duration = Duration::from_micros(15);
/// A sleep that is shorter has cost as much as it gave.
pub(crate) const BRIEF: Duration = Duration::from_micros(100);
/// So many messages are timed together,
const BLOCK: u32 = 64;
/// and so many blocks are judged together.
const TRIAL: u32 = 16;
/// Where a message takes no longer nobody had to be woken.
const GOOD: Duration = Duration::from_micros(25);
/// So many trials that are not good are compared with one without company,
const TRIALS: u32 = 8;
/// and so many at most, if company was faster again and again.
const MOST_TRIALS: u32 = 256;
/// So many messages company is left out for, the first time and at most.
const LEFT_OUT: u32 = 8 * BLOCK * TRIAL;
const MOST_LEFT_OUT: u32 = 16 * LEFT_OUT;

/// Whether company pays in the conversation of one core's port: by how long its messages take.
pub(crate) struct Company {
    mode: Mode,
    /// Messages of this block, blocks of this trial, when the last block ended, and the sum of what a message took.
    heard: u32,
    blocks: u32,
    last: Option<Instant>,
    took: Duration,
    /// Trials with company that were not good, the sum of what a message took in them, and how many are compared.
    trials: u32,
    with: Duration,
    compared: u32,
    /// Messages to leave it out for, and how many it was the last time.
    left: u32,
    pause: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    With,
    /// A trial without that does not count: things have to settle.
    Changing,
    /// One that does.
    Without,
    LeftOut,
}

impl Default for Company {
    fn default() -> Company {
        Company {
            mode: Mode::With,
            heard: 0,
            blocks: 0,
            last: None,
            took: Duration::ZERO,
            trials: 0,
            with: Duration::ZERO,
            compared: TRIALS,
            left: 0,
            pause: 0,
        }
    }
}

impl Company {
    /// Is it to be asked for?
    pub(crate) fn asks(&self) -> bool {
        self.mode == Mode::With
    }

    /// A single message has come.
    #[inline]
    pub(crate) fn heard(&mut self, now: impl FnOnce() -> Instant) {
        self.heard += 1;
        if self.heard == BLOCK {
            self.heard = 0;
            self.block(now);
        }
    }

    fn block(&mut self, now: impl FnOnce() -> Instant) {
        if self.mode == Mode::LeftOut {
            self.left -= BLOCK;
            if self.left == 0 {
                self.begin();
            }
            return;
        }
        let now = now();
        if let Some(last) = self.last.replace(now) {
            // Longer pauses are no part of a conversation.
            self.took += ((now - last) / BLOCK).min(2 * BRIEF);
            self.blocks += 1;
        }
        if self.blocks == TRIAL {
            self.blocks = 0;
            let each = std::mem::take(&mut self.took) / TRIAL;
            self.judge(each);
        }
    }

    /// A trial is over, in which a message took so long.
    fn judge(&mut self, each: Duration) {
        match self.mode {
            Mode::With if each < GOOD => {
                self.begin();
                (self.compared, self.pause) = (TRIALS, 0);
            }
            // Who thinks for longer than two CPUs take to wake up saves little.
            Mode::With if each >= BRIEF => self.leave_out(),
            Mode::With => {
                self.trials += 1;
                self.with += each;
                if self.trials == self.compared {
                    self.mode = Mode::Changing;
                }
            }
            Mode::Changing => self.mode = Mode::Without,
            // For what makes no difference nobody is to be kept busy.
            Mode::Without if each * 7 / 8 > self.with / self.trials => {
                self.begin();
                self.compared = (2 * self.compared).min(MOST_TRIALS);
            }
            Mode::Without | Mode::LeftOut => self.leave_out(),
        }
    }

    /// Anew, with company.
    fn begin(&mut self) {
        (self.mode, self.trials, self.with) = (Mode::With, 0, Duration::ZERO);
    }

    fn leave_out(&mut self) {
        (self.mode, self.last, self.compared) = (Mode::LeftOut, None, TRIALS);
        self.pause = (2 * self.pause + LEFT_OUT).min(MOST_LEFT_OUT);
        self.left = self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIAL_LENGTH: u32 = BLOCK * TRIAL;
    const MICROSECOND: Duration = Duration::from_micros(1);

    /// A conversation whose messages take so many microseconds with company, and so many without.
    struct Conversation {
        company: Company,
        now: Instant,
        with: u32,
        without: u32,
    }

    impl Conversation {
        fn new(with: u32, without: u32) -> Conversation {
            Conversation { company: Company::default(), now: Instant::now(), with, without }
        }

        fn message(&mut self) {
            self.now += if self.company.asks() { self.with } else { self.without } * MICROSECOND;
            self.company.heard(|| self.now);
        }

        /// In trials, rounded: for how long company is asked for, for how long not, and so on.
        fn spans(&mut self, count: usize) -> Vec<u32> {
            let mut span = || {
                let asks = self.company.asks();
                let mut messages = 0;
                while self.company.asks() == asks {
                    self.message();
                    messages += 1;
                }
                (messages + TRIAL_LENGTH / 2) / TRIAL_LENGTH
            };
            (0..count).map(|_| span()).collect()
        }
    }

    #[test]
    fn where_messages_come_quickly_company_is_never_left_out() {
        // Not even if they came more quickly without.
        let mut conversation = Conversation::new(24, 5);
        for _ in 0..100 * TRIAL_LENGTH {
            conversation.message();
            assert!(conversation.company.asks());
        }
    }

    #[test]
    fn where_they_come_sooner_without_it_is_left_out_for_longer_and_longer() {
        let spans = Conversation::new(60, 50).spans(14);
        // Eight trials with it are compared with the second one of two without.
        assert_eq!(spans, [8, 2 + 8, 8, 2 + 24, 8, 2 + 56, 8, 2 + 120, 8, 2 + 128, 8, 2 + 128, 8, 2 + 128]);
    }

    #[test]
    fn where_they_come_later_without_it_is_compared_more_and_more_rarely() {
        let spans = Conversation::new(50, 60).spans(14);
        assert_eq!(spans, [8, 2, 16, 2, 32, 2, 64, 2, 128, 2, 256, 2, 256, 2]);
    }

    #[test]
    fn where_it_makes_hardly_a_difference_it_is_left_out() {
        assert_eq!(Conversation::new(60, 65).spans(4), [8, 2 + 8, 8, 2 + 24]);
    }

    #[test]
    fn where_they_come_slowly_one_trial_is_enough() {
        let spans = Conversation::new(150, 500).spans(6);
        assert_eq!(spans, [1, 8, 1, 24, 1, 56]);
    }

    #[test]
    fn when_they_come_quickly_again_all_is_forgotten() {
        let mut conversation = Conversation::new(60, 50);
        conversation.spans(10);
        conversation.with = 10;
        (0..2 * TRIAL_LENGTH).for_each(|_| conversation.message());
        conversation.with = 60;
        assert_eq!(conversation.spans(4)[1..], [2 + 8, 8, 2 + 24]);
    }

    #[test]
    fn a_long_pause_in_between_says_nothing() {
        let mut conversation = Conversation::new(10, 10);
        for message in 0..100 * TRIAL_LENGTH {
            if message % TRIAL_LENGTH == 0 {
                conversation.now += Duration::from_secs(1);
            }
            conversation.message();
            assert!(conversation.company.asks());
        }
    }
}
