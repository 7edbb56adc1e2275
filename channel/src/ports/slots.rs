//! A port's places for requests. An id names one, with a generation that counts how often it was given back.

use crate::id::{MAX_SLOTS, OpId};
use crate::lock::{Room, has_room};

/// Ends the chain of those that are free.
const NONE: u32 = u32::MAX;

struct Slot {
    generation: u32,
    /// Free: the next one that is free. Busy: the place of its request in the inbox, as long as that is there.
    next: u32,
    busy: bool,
    /// An event's, which has an id that the program knows; else a suspended task's, say.
    of_event: bool,
    /// A cancel is on its way to it.
    cancelled: bool,
}

pub(crate) struct Slots {
    all: Vec<Slot>,
    /// Given back last.
    free: u32,
    taken: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Slots { all: Vec::new(), free: NONE, taken: 0 }
    }
}

impl Slots {
    /// A slot for a request of port `port`, for which there is room, and which goes to this `place` in the inbox. `None`: all are taken.
    #[inline]
    pub(crate) fn take(&mut self, port: usize, of_event: bool, place: usize) -> Option<OpId> {
        let slot = match self.free {
            NONE if self.all.len() == MAX_SLOTS => return None,
            NONE => {
                self.all.push(Slot { generation: 1, next: NONE, busy: false, of_event, cancelled: false });
                self.all.len() - 1
            }
            free => free as usize,
        };
        let at = &mut self.all[slot];
        if self.free != NONE {
            self.free = at.next;
        }
        (at.busy, at.of_event, at.cancelled, at.next) = (true, of_event, false, place as u32);
        self.taken += 1;
        Some(OpId::new(at.generation, port, slot as u32))
    }

    /// It is free, and the id it had names nothing any more.
    #[inline]
    pub(crate) fn give_back(&mut self, slot: u32) {
        let at = &mut self.all[slot as usize];
        at.generation = OpId::next_generation(at.generation);
        (at.busy, at.next) = (false, self.free);
        self.free = slot;
        self.taken -= 1;
    }

    /// Where the request `id` was put into the inbox.
    pub(crate) fn place(&mut self, id: OpId) -> Option<usize> {
        self.live(id).map(|at| at.next as usize)
    }

    /// Is the request `id` on its way?
    pub(crate) fn is_live(&mut self, id: OpId) -> bool {
        self.live(id).is_some()
    }

    /// The slot of the request `id`, if that is on its way.
    fn live(&mut self, id: OpId) -> Option<&mut Slot> {
        self.all.get_mut(id.slot() as usize).filter(|at| at.busy && at.generation == id.generation())
    }

    /// `id` is to be cancelled: that of a request on its way, an event's or not, as said. `None`: there is no such one; else whether
    /// it is the first time.
    pub(crate) fn cancel(&mut self, id: OpId, of_event: bool) -> Option<bool> {
        let at = self.live(id).filter(|at| at.of_event == of_event)?;
        Some(!std::mem::replace(&mut at.cancelled, true))
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Can one be taken without an allocation?
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.free != NONE || has_room(&self.all, 1) || self.all.len() == MAX_SLOTS
    }
}

impl Room for Slots {
    fn with_room_for(count: usize) -> Self {
        Slots { all: Vec::with_room_for(count), ..Slots::default() }
    }

    fn filled(&self) -> (usize, usize) {
        self.all.filled()
    }

    fn take_over(&mut self, other: &mut Self) {
        self.all.take_over(&mut other.all);
        (self.free, self.taken) = (other.free, other.taken);
        (other.free, other.taken) = (NONE, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Mutex, make_room};

    #[test]
    fn a_slot_is_named_by_one_id_at_a_time() {
        let mut slots = Slots::default();
        let first = slots.take(0, true, 0).unwrap();
        let second = slots.take(0, false, 0).unwrap();
        assert_ne!(first.slot(), second.slot());
        assert_eq!((slots.cancel(first, false), slots.cancel(first, true)), (None, Some(true)));
        assert_eq!((slots.cancel(second, true), slots.cancel(second, false)), (None, Some(true)));
        assert_eq!(slots.cancel(first, true), Some(false), "it was asked for before");
        slots.give_back(first.slot());
        assert_eq!(slots.cancel(first, true), None);
        let third = slots.take(0, true, 0).unwrap();
        assert_eq!(third.slot(), first.slot());
        assert_eq!((slots.cancel(first, true), slots.cancel(third, true)), (None, Some(true)));
        assert_eq!(slots.taken(), 2);
    }

    #[test]
    fn those_given_back_last_are_taken_first_and_all_of_them_again() {
        let mut slots = Slots::default();
        let ids: Vec<_> = (0..10).map(|_| slots.take(3, true, 0).unwrap()).collect();
        for id in [7, 2, 9] {
            slots.give_back(ids[id].slot());
        }
        assert_eq!(slots.taken(), 7);
        let again: Vec<_> = (0..4).map(|_| slots.take(3, true, 0).unwrap().slot()).collect();
        assert_eq!(again, [9, 2, 7, 10]);
    }

    #[test]
    fn room_is_made_outside_and_keeps_what_is_taken_and_free() {
        let slots = Mutex::new(Slots::default());
        let mut taken = Vec::new();
        for round in 0..1000u32 {
            if !slots.lock().has_room() {
                make_room(&slots, |slots| slots, 1);
            }
            let mut locked = slots.lock();
            assert!(locked.has_room());
            let room = locked.filled().1;
            taken.push(locked.take(0, true, 0).unwrap());
            assert_eq!(locked.filled().1, room, "it has grown under the lock");
            if round % 3 == 0 {
                locked.give_back(taken.swap_remove(round as usize % taken.len()).slot());
            }
        }
        let mut locked = slots.lock();
        assert_eq!(locked.taken(), taken.len());
        assert!(taken.iter().all(|id| locked.cancel(*id, true) == Some(true)));
    }
}
