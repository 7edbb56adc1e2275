//! A first-in-first-out queue that one leaves from anywhere, under a lock of the runtime's: a [`Line`]. Nothing is
//! allocated or freed under the lock.

use ec_channel::line::{Line, Place};
use ec_tasks::room::Room;
use std::collections::TryReserveError;

pub(crate) struct Queue<T>(Line<T>);

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Queue(Line::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.queued()
    }

    /// Joins at the end. There must be room.
    pub(crate) fn join(&mut self, item: T) -> Place {
        self.0.join(item)
    }

    /// Takes out whoever stands at `place`, if that `is_it`. (It may have left, and the place may be another's.)
    pub(crate) fn leave(&mut self, place: Place, is_it: impl FnOnce(&T) -> bool) -> Option<T> {
        self.0.leave_if(place, is_it)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Room for Queue<T> {
    fn try_with_room_for(count: usize) -> Result<Self, TryReserveError> {
        Line::try_with_room_for(count).map(Queue)
    }

    fn filled(&self) -> (usize, usize) {
        self.0.filled()
    }

    fn take_over(&mut self, other: &mut Self) {
        self.0.take_over(&mut other.0);
    }
}
