//! What is for all who wait: each of them gets it once.
//!
//! Who waits in `get_event` takes a seat before it looks for the last time, and keeps it, whether it leads, follows or looks again, until it
//! has something to return. What is for all is laid on each seat that is taken at that moment, and then all are called. So none takes two,
//! however early it wakes up.
//!
//! Who is about to take an event from the queue stands up first. If one is on its seat it takes that: it never has both in its hands. What is
//! laid there while it stands is a copy that counts with the others. If the event is gone it sits down again, and has that copy; else the
//! copy was not for it. One on whose seat something lies waits for nothing any more: of the next it gets none.

use crate::events::event::Event;
use crate::fork;
use crate::getting::waiting::Waiter;
use crate::line::{Line, Place};
use crate::lock::{Mutex, MutexGuard, Room, has_room, make_room};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// All seats of a channel that are taken.
#[derive(Default)]
pub(crate) struct Seats {
    taken: Mutex<Taken>,
    /// How often something was laid on all of them. (Written under the lock.)
    rounds: AtomicU64,
    /// How many lie there. (As above.)
    laid: AtomicUsize,
}

/// There is room for so many from the beginning: they allocate nothing before they lead.
const ROOM: usize = 8;

struct Taken {
    line: Line<Sitting>,
    /// The number of the next one.
    next: u64,
}

impl Default for Taken {
    fn default() -> Self {
        Taken { line: Line::with_room_for(ROOM), next: 0 }
    }
}

/// One that is taken.
struct Sitting {
    number: u64,
    /// While a task sleeps there: it may never run again.
    sleeper: Option<Arc<Waiter>>,
    /// Whoever sits there has stood up, and either leaves or sits down again.
    stands: bool,
    laid: Option<Event>,
}

impl Sitting {
    fn is_gone(&self) -> bool {
        self.sleeper.as_ref().is_some_and(|sleeper| sleeper.is_gone())
    }

    /// Does it wait, as far as one can say?
    fn waits(&self) -> bool {
        self.laid.is_none() && !self.is_gone()
    }
}

impl Seats {
    /// Lays one on each seat where there is none, and where somebody sits or stands who is not gone: `event` itself on the first where
    /// somebody sits, copies on the others, which are counted by `more`. Gives it back if nobody sits. (`wake_everybody` is to follow.)
    pub(crate) fn lay(&self, event: Event, more: impl FnOnce(u64)) -> Result<(), Event> {
        let mut taken = self.taken.lock();
        let first = taken.line.find(|seat| !seat.stands && seat.waits());
        let Some(first) = first.and_then(|place| taken.line.get_mut(place)) else { return Err(event) };
        let (copy, mut copies) = (event.0.copy(), 0);
        first.laid = Some(event);
        taken.line.for_each_mut(|seat| {
            if seat.waits() {
                copies += 1;
                seat.laid = Some(Event(copy.copy()));
            }
        });
        // (Before anybody can take one.)
        more(copies);
        self.laid.fetch_add(copies as usize + 1, Ordering::SeqCst);
        self.rounds.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// How many lie there.
    pub(crate) fn laid(&self) -> usize {
        self.laid.load(Ordering::SeqCst)
    }

    #[inline]
    pub(crate) fn any_laid(&self) -> bool {
        self.laid() > 0
    }

    /// This seat was left. (Under the lock.)
    fn count_left(&self, seat: &Option<Sitting>) {
        let one = seat.as_ref().is_some_and(|seat| seat.laid.is_some());
        self.laid.fetch_sub(usize::from(one), Ordering::SeqCst);
    }

    /// The seat of one that is gone is free again. What lay on it, if that is so.
    pub(crate) fn clear_gone(&self) -> Option<Option<Event>> {
        let mut taken = self.taken.lock();
        let place = taken.line.find(Sitting::is_gone)?;
        let seat = taken.line.leave(place);
        self.count_left(&seat);
        drop(taken);
        // (Not under the lock.)
        seat.map(|seat| seat.laid)
    }
}

/// The seat of one call of `get_event`, if it has one.
pub(crate) struct Seat<'a> {
    seats: &'a Seats,
    /// Where it is, and its number.
    at: Cell<Option<(Place, u64)>>,
    stands: Cell<bool>,
    /// The rounds until it sat down.
    rounds: Cell<u64>,
}

impl<'a> Seat<'a> {
    pub(crate) fn new(seats: &'a Seats) -> Self {
        Seat { seats, at: Cell::new(None), stands: Cell::new(false), rounds: Cell::new(0) }
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.at.get().is_some()
    }

    /// Does something lie on it? (Or the one who asks is taken for gone.)
    #[inline]
    pub(crate) fn has_some(&self) -> bool {
        self.is_taken() && self.rounds.get() != self.seats.rounds.load(Ordering::SeqCst)
    }

    /// Sits down. What was laid there while it stood is given at once: to return it.
    pub(crate) fn sit(&self) -> Option<Event> {
        if self.is_taken() && !self.stands.get() {
            return None;
        }
        loop {
            let mut taken = self.seats.taken.lock();
            self.rounds.set(self.seats.rounds.load(Ordering::SeqCst));
            if let Some((place, number)) = self.at.get() {
                self.stands.set(false);
                match taken.line.get_mut(place).filter(|seat| seat.number == number) {
                    Some(seat) if seat.laid.is_none() => seat.stands = false,
                    _ => return self.leave(taken),
                }
                return None;
            }
            if has_room(&taken.line, 1) {
                let number = taken.next;
                taken.next += 1;
                let place = taken.line.join(Sitting { number, sleeper: None, stands: false, laid: None });
                self.at.set(Some((place, number)));
                return None;
            }
            drop(taken);
            make_room(&self.seats.taken, |taken| &mut taken.line, 1);
        }
    }

    /// A task is about to sleep there.
    pub(crate) fn sleeps(&self, sleeper: &Arc<Waiter>) {
        let Some((place, number)) = self.at.get().filter(|_| sleeper.is_task()) else { return };
        let sleeper = Some(sleeper.clone());
        let mut taken = self.seats.taken.lock();
        let seat = taken.line.get_mut(place).filter(|seat| seat.number == number);
        let before = seat.map(|seat| std::mem::replace(&mut seat.sleeper, sleeper));
        drop(taken);
        // (Not under the lock.)
        drop(before);
    }

    /// Stands up, to leave or to sit down again. If something lies there it leaves with that: to return it.
    pub(crate) fn stand_up(&self) -> Option<Event> {
        let (place, number) = self.at.get().filter(|_| !self.stands.get())?;
        if fork::is_child() {
            return None;
        }
        let mut taken = self.seats.taken.lock();
        match taken.line.get_mut(place).filter(|seat| seat.number == number) {
            Some(seat) if seat.laid.is_none() => seat.stands = true,
            _ => return self.leave(taken),
        }
        self.stands.set(true);
        None
    }

    /// Has it stood up, and not sat down again?
    pub(crate) fn stands(&self) -> bool {
        self.stands.get()
    }

    /// Leaves it, with what lies there.
    pub(crate) fn rise(&self) -> Option<Event> {
        if !self.is_taken() || fork::is_child() {
            return None;
        }
        self.leave(self.seats.taken.lock())
    }

    fn leave(&self, mut taken: MutexGuard<'_, Taken>) -> Option<Event> {
        let (place, number) = self.at.take()?;
        self.stands.set(false);
        // (Of one that was taken for gone, and is not quite, the place may be another's by now.)
        let seat = taken.line.leave_if(place, |seat| seat.number == number);
        self.seats.count_left(&seat);
        drop(taken);
        // (Not under the lock.)
        seat?.laid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    fn for_all(token: u64) -> Event {
        Event(Request::notification().token(token).0)
    }

    /// To so many it goes.
    fn lay(seats: &Seats, token: u64) -> Option<u64> {
        let mut to = 1;
        seats.lay(for_all(token), |copies| to += copies).ok().map(|()| to)
    }

    fn sits(seats: &Seats) -> Seat<'_> {
        let seat = Seat::new(seats);
        assert!(seat.sit().is_none() && seat.is_taken());
        seat
    }

    fn token(event: Option<Event>) -> Option<u64> {
        event.map(|event| event.token())
    }

    /// The first that came while it stood, and none that came after that: it waited for nothing any more.
    #[test]
    fn who_stands_and_sits_down_again_has_what_came_first_meanwhile() {
        let seats = Seats::default();
        let (stands, first) = (sits(&seats), sits(&seats));
        assert!(stands.stand_up().is_none());
        assert_eq!(lay(&seats, 1), Some(2));
        assert_eq!(token(first.rise()), Some(1));
        let second = sits(&seats);
        assert_eq!(lay(&seats, 2), Some(1));
        assert_eq!((token(stands.sit()), stands.is_taken()), (Some(1), false));
        assert_eq!(token(second.stand_up()), Some(2));
        assert_eq!(seats.laid(), 0);
    }

    #[test]
    fn who_stands_is_counted_and_is_nobody_by_itself() {
        let seats = Seats::default();
        let stands = sits(&seats);
        assert!(stands.stand_up().is_none() && stands.stand_up().is_none());
        assert_eq!(lay(&seats, 1), None);
        let other = sits(&seats);
        assert_eq!((lay(&seats, 2), seats.laid()), (Some(2), 2));
        assert!(other.has_some() && stands.stands());
        assert_eq!((token(stands.rise()), token(other.rise())), (Some(2), Some(2)));
        assert_eq!(seats.laid(), 0);
        assert!(!stands.stands() && stands.sit().is_none() && !stands.has_some());
    }

    /// What goes with it is for one who sits.
    #[test]
    fn who_stands_gets_a_copy() {
        let seats = Seats::default();
        let (stands, sits) = (sits(&seats), sits(&seats));
        assert!(stands.stand_up().is_none());
        let event = Event(Request::notification().context(Box::new("mine")).0);
        assert!(seats.lay(event, |copies| assert_eq!(copies, 1)).is_ok());
        let has_context =
            |event: Option<Event>| event.is_some_and(|mut event| event.take_context().is_some());
        assert!(!has_context(stands.sit()) && has_context(sits.rise()));
    }
}
