//! A worker that goes to sleep, and is among the sleepers for so long.

use crate::idle::Woken;
use crate::seat::Seat;

/// Among the sleepers, until [`end`](Asleep::end). Also if that is a panic.
pub(crate) struct Asleep<'a> {
    seat: &'a Seat,
    index: usize,
}

impl<'a> Asleep<'a> {
    pub(crate) fn new(seat: &'a Seat, index: usize, searching: bool) -> Asleep<'a> {
        seat.asleep.set(true);
        seat.shared.idle.fall_asleep(index, searching);
        Asleep { seat, index }
    }

    pub(crate) fn end(self) -> Woken {
        let woken = self.wake_up();
        std::mem::forget(self);
        woken
    }

    fn wake_up(&self) -> Woken {
        self.seat.asleep.set(false);
        self.seat.shared.idle.wake_up(self.index)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        if self.wake_up() == Woken::ByNotify {
            // It was counted as searching.
            self.seat.shared.idle.end_search();
            self.seat.shared.notify();
        }
    }
}
