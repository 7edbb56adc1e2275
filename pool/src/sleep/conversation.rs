//! Whether the worker that serves a conversation wakes a partner.
//!
//! A conversation is one message at a time over one port, while all other workers sleep. If the worker has slept for less than
//! [`BRIEF`], it wakes another one as its *partner*, which goes on searching for [`SPIN`](crate::sleep::tuning::SPIN). The CPU
//! that was asleep is busy then. So the kernel leaves the two sides of the conversation on one CPU, where each finds the other's
//! message as soon as it is written: nobody has to be woken any more.
//!
//! To spin alone has the opposite effect: it pushes the other side to the CPU that is asleep. So a worker that may wake a partner
//! spins for [`SPIN_WITH_PARTNER`](crate::sleep::tuning::SPIN_WITH_PARTNER) only.
//!
//! The partner is left out where it does not help: where messages do not come quickly with it, and hardly later without, or so
//! slowly that there is little to gain. Then the other side thinks for longer, or is far away. Where it helps, messages do not come
//! quickly at once: it takes the kernel some tenths of a second until both sides are on one CPU. And once they are, a trial
//! without a partner would part them again. So a conversation begins with a partner, and nothing is tried as long as all is well.

use crate::sleep::tuning::{
    BLOCK, BRIEF, GOOD, LEFT_OUT, LONGEST_PAUSE, MOST_LEFT_OUT, MOST_TRIALS, TRIAL, TRIALS, WORTH,
};
use std::time::{Duration, Instant};

/// The conversation of one core's port. Whether a partner pays is seen by how long its messages take.
pub(crate) struct Conversation {
    mode: Mode,
    /// Messages of this block, blocks of this trial, when the last block ended, and the sum of what a message took.
    heard: u32,
    blocks: u32,
    last: Option<Instant>,
    took: Duration,
    /// Trials with a partner that were not good, the sum of what a message took in them, and how many are compared.
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

impl Default for Conversation {
    fn default() -> Conversation {
        Conversation {
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

impl Conversation {
    /// Is a partner to be woken?
    pub(crate) fn wants_partner(&self) -> bool {
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
            self.took += ((now - last) / BLOCK).min(LONGEST_PAUSE);
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
            Mode::Without if each * (WORTH - 1) / WORTH > self.with / self.trials => {
                self.begin();
                self.compared = (2 * self.compared).min(MOST_TRIALS);
            }
            Mode::Without | Mode::LeftOut => self.leave_out(),
        }
    }

    /// Anew, with a partner.
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

    /// A conversation whose messages take so many microseconds with a partner, and so many without.
    struct Talk {
        conversation: Conversation,
        now: Instant,
        with: u32,
        without: u32,
    }

    impl Talk {
        fn new(with: u32, without: u32) -> Talk {
            Talk { conversation: Conversation::default(), now: Instant::now(), with, without }
        }

        fn message(&mut self) {
            self.now +=
                if self.conversation.wants_partner() { self.with } else { self.without } * MICROSECOND;
            self.conversation.heard(|| self.now);
        }

        /// In trials, rounded: for how long a partner is wanted, for how long not, and so on.
        fn spans(&mut self, count: usize) -> Vec<u32> {
            let mut span = || {
                let wants = self.conversation.wants_partner();
                let mut messages = 0;
                while self.conversation.wants_partner() == wants {
                    self.message();
                    messages += 1;
                }
                (messages + TRIAL_LENGTH / 2) / TRIAL_LENGTH
            };
            (0..count).map(|_| span()).collect()
        }
    }

    #[test]
    fn where_messages_come_quickly_the_partner_is_never_left_out() {
        // Not even if they came more quickly without.
        let mut talk = Talk::new(24, 5);
        for _ in 0..100 * TRIAL_LENGTH {
            talk.message();
            assert!(talk.conversation.wants_partner());
        }
    }

    #[test]
    fn where_they_come_sooner_without_it_is_left_out_for_longer_and_longer() {
        let spans = Talk::new(60, 50).spans(14);
        // Eight trials with it are compared with the second one of two without.
        assert_eq!(spans, [8, 2 + 8, 8, 2 + 24, 8, 2 + 56, 8, 2 + 120, 8, 2 + 128, 8, 2 + 128, 8, 2 + 128]);
    }

    #[test]
    fn where_they_come_later_without_it_is_compared_more_and_more_rarely() {
        let spans = Talk::new(50, 60).spans(14);
        assert_eq!(spans, [8, 2, 16, 2, 32, 2, 64, 2, 128, 2, 256, 2, 256, 2]);
    }

    #[test]
    fn where_it_makes_hardly_a_difference_it_is_left_out() {
        assert_eq!(Talk::new(60, 65).spans(4), [8, 2 + 8, 8, 2 + 24]);
    }

    #[test]
    fn where_they_come_slowly_one_trial_is_enough() {
        let spans = Talk::new(150, 500).spans(6);
        assert_eq!(spans, [1, 8, 1, 24, 1, 56]);
    }

    #[test]
    fn when_they_come_quickly_again_all_is_forgotten() {
        let mut talk = Talk::new(60, 50);
        talk.spans(10);
        talk.with = 10;
        (0..2 * TRIAL_LENGTH).for_each(|_| talk.message());
        talk.with = 60;
        assert_eq!(talk.spans(4)[1..], [2 + 8, 8, 2 + 24]);
    }

    #[test]
    fn a_long_pause_in_between_says_nothing() {
        let mut talk = Talk::new(10, 10);
        for message in 0..100 * TRIAL_LENGTH {
            if message % TRIAL_LENGTH == 0 {
                talk.now += Duration::from_secs(1);
            }
            talk.message();
            assert!(talk.conversation.wants_partner());
        }
    }
}
