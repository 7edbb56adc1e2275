//! Readiness without progress: how long to look away from a descriptor that calls itself ready and helps nobody.
//!
//! There are many such: something lies in the error queue, which no receive takes. A rival is always first. A datagram is
//! there, and its checksum is wrong. To ask again at once would burn a CPU for as long as that lasts, and the kernel does
//! not say when it ends. So the descriptor (or one request) is left alone for a time, which grows. A request is late by no
//! more than that.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// How long somebody looks away each time.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// How long the last rest is, or was, and when it ends, or ended.
    last: Option<(Duration, Instant)>,
}

impl Pace {
    /// Until when the rest lasts that begins `now`: twice as long as the last one, unless that was long ago.
    pub fn rest(&mut self, now: Instant) -> Instant {
        let recent = self.last.filter(|(_, until)| now.saturating_duration_since(*until) <= LONGEST);
        let rest = recent.map_or(SHORTEST, |(last, _)| (last * 2).min(LONGEST));
        self.last = Some((rest, now + rest));
        now + rest
    }
}

/// One that rests, or has rested.
#[derive(Default)]
struct Resting {
    pace: Pace,
    /// `None`: it is over.
    until: Option<Instant>,
}

/// Those of a port that rest, or have rested and had no progress since, by their numbers.
#[derive(Default)]
pub(crate) struct Rests {
    paces: BTreeMap<u64, Resting>,
    /// Some may be out of date: each rests until the moment that it names itself.
    ends: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Rests {
    /// `which` was ready in vain and rests.
    pub(crate) fn begin(&mut self, which: u64, now: Instant) {
        let one = self.paces.entry(which).or_default();
        let until = one.pace.rest(now);
        one.until = Some(until);
        self.ends.push(Reverse((until, which)));
    }

    #[inline]
    pub(crate) fn is_resting(&self, which: u64) -> bool {
        !self.paces.is_empty() && self.paces.get(&which).is_some_and(|one| one.until.is_some())
    }

    /// There was progress, or nobody waits any more.
    #[inline]
    pub(crate) fn forget(&mut self, which: u64) {
        if !self.paces.is_empty() {
            self.paces.remove(&which);
        }
    }

    /// When the next rest ends.
    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        self.ends.peek().map(|Reverse((end, _))| *end)
    }

    /// One whose rest is over at `now`.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<u64> {
        while self.next().is_some_and(|end| end <= now) {
            let Reverse((until, which)) = self.ends.pop()?;
            if let Some(one) = self.paces.get_mut(&which).filter(|one| one.until == Some(until)) {
                one.until = None;
                return Some(which);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(rests: &mut Rests, now: Instant) -> Duration {
        rests.begin(3, now);
        let end = rests.next().unwrap();
        assert!(rests.is_resting(3) && rests.take_due(end - SHORTEST / 2).is_none());
        assert!(rests.take_due(end) == Some(3) && !rests.is_resting(3));
        end - now
    }

    #[test]
    fn a_rest_grows_up_to_the_longest_and_progress_begins_anew() {
        let (mut rests, mut now) = (Rests::default(), Instant::now());
        for ms in [1, 2, 4, 8, 16, 32, 50, 50] {
            let span = rest(&mut rests, now);
            assert_eq!(span, Duration::from_millis(ms));
            now += span;
        }
        rests.forget(3);
        assert_eq!(rest(&mut rests, now), SHORTEST);
    }

    #[test]
    fn who_is_ready_in_vain_now_and_then_has_the_shortest() {
        let (mut rests, mut now) = (Rests::default(), Instant::now());
        for _ in 0..5 {
            now += rest(&mut rests, now) + LONGEST + SHORTEST;
        }
        assert_eq!(rest(&mut rests, now), SHORTEST);
    }

    #[test]
    fn a_rest_of_the_number_s_last_owner_says_nothing() {
        let (mut rests, now) = (Rests::default(), Instant::now());
        rests.begin(3, now);
        rests.forget(3);
        rests.begin(3, now + SHORTEST);
        assert_eq!(rests.take_due(now + SHORTEST), None);
        assert!(rests.is_resting(3));
        assert_eq!(rests.take_due(now + SHORTEST * 2), Some(3));
    }
}
