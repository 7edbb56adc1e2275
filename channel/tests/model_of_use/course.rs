//! A stream in flight, as the model knows it.

use super::play::Checked;
use super::steps::What;
use proptest::prop_assert;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A get.
pub struct Get {
    pub began: Instant,
    pub over: Instant,
    /// No item was there when it began.
    pub finds_nothing: bool,
}

/// How far a stream has come.
pub struct Course {
    /// So many of its items may be unfetched; of readiness: held.
    credit: usize,
    /// Of ticks: they are so far apart.
    period: Option<Duration>,
    /// Items that have come, and with them the ticks that were missed.
    pub items: usize,
    ticks: u32,
    /// When its latest items were there, as many as there is credit for.
    got: VecDeque<Instant>,
    /// Of readiness: somebody has its item, so that it pauses.
    pub is_held: bool,
    /// It was cancelled: so many items may still come.
    left: Option<usize>,
    came_late: bool,
}

impl Course {
    pub fn of(what: What) -> Option<Self> {
        let (credit, period) = match what {
            What::Interval { ms, credit } => (credit, Some(Duration::from_millis(ms.into()))),
            What::ReadableAgain(_) => (1, None),
            _ => return None,
        };
        let got = VecDeque::new();
        Some(Course { credit, period, items: 0, ticks: 0, got, is_held: false, left: None, came_late: false })
    }

    /// So many of its items may have come that nobody has fetched.
    pub fn room(&self) -> usize {
        self.credit - usize::from(self.is_held)
    }

    /// It was cancelled, and of all streams so many items had come that nobody had fetched. What is ready is still found by the cancel, if
    /// the stream does not pause; a tick is not.
    pub fn give_up(&mut self, unfetched: usize) {
        let room = self.room();
        self.left.get_or_insert(if self.period.is_some() { room.min(unfetched) } else { room });
    }

    /// After these items it has used its credit up, and got it back.
    pub fn goes_on_with(&self) -> usize {
        if self.period.is_some() { self.credit + 1 } else { 1 }
    }

    /// An item has come, with so many ticks missed. The stream was posted between these two times, and ends so long after.
    pub fn item(
        &mut self,
        missed: u64,
        get: &Get,
        posted: (Instant, Instant),
        limit: Option<Duration>,
    ) -> Checked {
        prop_assert!(!self.is_held, "more items than there is credit for");
        if let Some(left) = &mut self.left {
            // (One that it had no credit for when its limit came is due all the same, once.)
            let is_late = limit.is_some_and(|limit| posted.0 + limit <= get.over);
            let came_late = *left == 0 && is_late && !std::mem::replace(&mut self.came_late, true);
            prop_assert!(*left > 0 || came_late, "an item of a stream that was cancelled");
            *left = left.saturating_sub(1);
        }
        self.items += 1;
        let Some(period) = self.period else {
            self.is_held = true;
            return Ok(());
        };
        self.ticks += 1 + missed as u32;
        prop_assert!(posted.0 + self.ticks * period <= get.over, "tick {} is early", self.ticks);
        // It came out of the port in this get, or in one since there was room for it: it is the youngest tick of a time then.
        let room_since = if self.got.len() == self.credit { self.got.pop_front() } else { None };
        if let Some(since) = if get.finds_nothing { Some(get.began) } else { room_since } {
            let next = (self.ticks + 1) * period;
            // (There is none behind its limit.)
            let is_over = limit.is_some_and(|limit| limit < next);
            prop_assert!(
                is_over || posted.1 + next > since,
                "tick {}, and missed ones are not counted",
                self.ticks
            );
        }
        self.got.push_back(get.over);
        Ok(())
    }
}
