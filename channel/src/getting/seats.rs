//! What is for all who wait: each of them gets it once.
//!
//! Who waits in `get_event` takes a seat before it looks for the last time, and keeps it, whether it leads, follows or looks again, until it
//! has something to return. What is for all is laid on each seat that is taken at that moment, and then all are called. So none takes two,
//! however early it wakes up.
//!
//! Who is about to take an event from the queue rises first. If one is on its seat it takes that: it never has both in its hands. If the
//! event is gone it sits down again, and makes up for what was laid on all seats meanwhile. One on whose seat something lies waits for
//! nothing any more: of the next it gets none.

use crate::events::event::Event;
use crate::fork;
use crate::getting::waiting::{Waiter, Waiting};
use crate::line::{Line, Place};
use crate::lock::{Mutex, Room, has_room, make_room};
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
    /// What was laid on all of them last.
    last: Option<Event>,
}

impl Default for Taken {
    fn default() -> Self {
        Taken { line: Line::with_room_for(ROOM), next: 0, last: None }
    }
}

/// One that is taken.
struct Sitting {
    number: u64,
    /// While a task sleeps there: it may never run again.
    sleeper: Option<Arc<Waiter>>,
    laid: Option<Event>,
}

impl Sitting {
    fn is_gone(&self) -> bool {
        self.sleeper.as_ref().is_some_and(|sleeper| sleeper.is_gone())
    }
}

impl Seats {
    /// Lays one on each seat where there is none, and where somebody sits who is not gone: `event` itself on the first, copies on the others,
    /// which are counted by `more`. Gives it back if there is no such seat. (`wake_everybody` is to follow.)
    pub(crate) fn lay(&self, event: Event, more: impl FnOnce(u64)) -> Result<(), Event> {
        let mut taken = self.taken.lock();
        let copy = event.0.copy();
        let (mut event, mut copies) = (Some(event), 0);
        taken.line.for_each_mut(|seat| {
            if seat.laid.is_none() && !seat.is_gone() {
                copies += u64::from(event.is_none());
                seat.laid = event.take().or_else(|| Some(Event(copy.copy())));
            }
        });
        match event {
            Some(event) => Err(event),
            None => {
                // (Before anybody can take one.)
                more(copies);
                self.laid.fetch_add(copies as usize + 1, Ordering::SeqCst);
                taken.last = Some(Event(copy));
                self.rounds.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
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
    waiting: &'a Waiting,
    /// Where it is, and its number.
    at: Cell<Option<(Place, u64)>>,
    /// The rounds until it was taken, or left. `None`: it was not.
    rounds: Cell<Option<u64>>,
}

impl<'a> Seat<'a> {
    pub(crate) fn new(waiting: &'a Waiting) -> Self {
        Seat { waiting, at: Cell::new(None), rounds: Cell::new(None) }
    }

    fn seats(&self) -> &'a Seats {
        &self.waiting.seats
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.at.get().is_some()
    }

    /// Does something lie on it? (Or the one who asks is taken for gone.)
    #[inline]
    pub(crate) fn has_some(&self) -> bool {
        self.is_taken() && self.rounds.get() != Some(self.seats().rounds.load(Ordering::SeqCst))
    }

    /// Sits down. What was laid on all seats since this one was left is given at once: to return it.
    pub(crate) fn sit(&self) -> Option<Event> {
        if self.is_taken() {
            return None;
        }
        loop {
            let mut taken = self.seats().taken.lock();
            let rounds = self.seats().rounds.load(Ordering::SeqCst);
            if self.rounds.replace(Some(rounds)).is_some_and(|before| before != rounds)
                && let Some(last) = &taken.last
            {
                self.waiting.tally.immediate(1);
                return Some(Event(last.0.copy()));
            }
            if has_room(&taken.line, 1) {
                let number = taken.next;
                taken.next += 1;
                let place = taken.line.join(Sitting { number, sleeper: None, laid: None });
                self.at.set(Some((place, number)));
                return None;
            }
            drop(taken);
            make_room(&self.seats().taken, |taken| &mut taken.line, 1);
        }
    }

    /// A task is about to sleep there.
    pub(crate) fn sleeps(&self, sleeper: &Arc<Waiter>) {
        let Some((place, number)) = self.at.get().filter(|_| sleeper.is_task()) else { return };
        let sleeper = Some(sleeper.clone());
        let mut taken = self.seats().taken.lock();
        let seat = taken.line.get_mut(place).filter(|seat| seat.number == number);
        let before = seat.map(|seat| std::mem::replace(&mut seat.sleeper, sleeper));
        drop(taken);
        // (Not under the lock.)
        drop(before);
    }

    /// Leaves it, with what lies there: to return it.
    pub(crate) fn rise(&self) -> Option<Event> {
        let (place, number) = self.at.take()?;
        if fork::is_child() {
            return None;
        }
        let mut taken = self.seats().taken.lock();
        self.rounds.set(Some(self.seats().rounds.load(Ordering::SeqCst)));
        // (Of one that was taken for gone, and is not quite, the place may be another's by now.)
        let seat = taken.line.leave_if(place, |seat| seat.number == number);
        self.seats().count_left(&seat);
        drop(taken);
        seat?.laid
    }
}
