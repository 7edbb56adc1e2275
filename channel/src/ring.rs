//! A queue of a fixed size without a lock, which can be closed. Many put in, many take out.
//!
//! It is the ring of crossbeam's channels (after Dmitry Vyukov): each place has a stamp that says whose turn it is, and whoever has moved an
//! end by one step has the place there to itself.
//!
//! ```text
//!   a place's stamp    number of the place in this lap              empty: who puts in at this number may take it
//!                      that and one                                 full: who takes out at this number may take it
//!                      number of the place in the next lap          empty again
//! ```
//! The number of an end is the place, and in the bits above [`CLOSED`](Ring::close) the lap. Others wait for a moment for whoever has a place
//! and has not got ready with it. Nothing is allocated but at the start, and no code of others runs between.

#![allow(unsafe_code)]

use crate::sync::{AtomicUsize, Backoff, Ordering, UnsafeCell};
use crossbeam::utils::CachePadded;
use std::mem::MaybeUninit;

struct Slot<T> {
    stamp: AtomicUsize,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// See the module.
pub struct Ring<T> {
    front: CachePadded<AtomicUsize>,
    back: CachePadded<AtomicUsize>,
    slots: Box<[Slot<T>]>,
    /// In the number of the back: nothing is put in any more. The bits below are a place's.
    closed: usize,
    /// A lap.
    lap: usize,
    /// See [`Ring::push`].
    rests: usize,
}

// SAFETY: each item is put in by one thread and taken out by one.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above; nobody sees an item that lies in it.
unsafe impl<T: Send> Sync for Ring<T> {}

/// Why an item was not put in.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// There was no place.
    Full(T),
    /// It is closed.
    Closed(T),
}

/// What there was to take out.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// An item; and what [`Ring::push`] says.
    Got(T, bool),
    /// Nothing, at this moment.
    Nothing,
    /// Nothing, for good: it is closed.
    Closed,
}

/// About so many items lie between two rests.
const ITEMS_TO_REST: usize = 32;

impl<T> Ring<T> {
    /// An empty one with so many places.
    ///
    /// # Panics
    /// Without any; without memory.
    pub fn new(places: usize) -> Self {
        assert!(places > 0, "a ring without places");
        let closed = (places.checked_add(1).and_then(usize::checked_next_power_of_two))
            .expect("more places than numbers");
        let lap = closed.checked_mul(2).expect("more places than numbers");
        let slots = (0..places)
            .map(|at| Slot { stamp: AtomicUsize::new(at), value: UnsafeCell::new(MaybeUninit::uninit()) })
            .collect();
        // Place 0 of each so many laps, or each so many places.
        let rests =
            if closed > ITEMS_TO_REST { ITEMS_TO_REST - 1 } else { lap * (ITEMS_TO_REST / closed) - 1 };
        let end = || CachePadded::new(AtomicUsize::new(0));
        Ring { front: end(), back: end(), slots, closed, lap, rests: rests & !closed }
    }

    /// The place of number `at`, and the number of the next one.
    #[inline]
    fn place(&self, at: usize) -> (&Slot<T>, usize) {
        let place = at & (self.closed - 1);
        let next =
            if place + 1 < self.slots.len() { at + 1 } else { (at & !(self.lap - 1)).wrapping_add(self.lap) };
        (&self.slots[place], next)
    }

    /// Puts `item` in at the back. True at times, some dozens of items apart: whoever goes on for long may let others run now.
    #[inline]
    pub fn push(&self, item: T) -> Result<bool, Refused<T>> {
        let backoff = Backoff::new();
        let mut at = self.back.load(Ordering::Relaxed);
        loop {
            if at & self.closed != 0 {
                return Err(Refused::Closed(item));
            }
            let (slot, next) = self.place(at);
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp == at {
                match self.back.compare_exchange_weak(at, next, Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => {
                        // SAFETY: whoever has moved the end has the place to itself until it is stamped.
                        slot.value.with_mut(|value| unsafe { (*value).write(item) });
                        slot.stamp.store(at.wrapping_add(1), Ordering::Release);
                        return Ok(at & self.rests == 0);
                    }
                    Err(now) => {
                        at = now;
                        backoff.spin();
                    }
                }
                continue;
            }
            if stamp.wrapping_add(self.lap) == at.wrapping_add(1) {
                // Full, a lap ago: unless its item is being taken out.
                if self.front.load(Ordering::SeqCst).wrapping_add(self.lap) == at {
                    return Err(Refused::Full(item));
                }
            }
            // (Others are at it, or the end has gone on.)
            backoff.snooze();
            at = self.back.load(Ordering::Relaxed);
        }
    }

    /// Takes out the first.
    #[inline]
    pub fn pop(&self) -> Taken<T> {
        let backoff = Backoff::new();
        let mut at = self.front.load(Ordering::Relaxed);
        loop {
            let (slot, next) = self.place(at);
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp == at.wrapping_add(1) {
                match self.front.compare_exchange_weak(at, next, Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => {
                        // SAFETY: it was written, and whoever has moved the end has it to itself.
                        let item = slot.value.with(|value| unsafe { (*value).assume_init_read() });
                        slot.stamp.store(at.wrapping_add(self.lap), Ordering::Release);
                        return Taken::Got(item, at & self.rests == 0);
                    }
                    Err(now) => {
                        at = now;
                        backoff.spin();
                    }
                }
                continue;
            }
            if stamp == at {
                // Empty: unless an item is being put in.
                let back = self.back.load(Ordering::SeqCst);
                if back & !self.closed == at {
                    return if back & self.closed == 0 { Taken::Nothing } else { Taken::Closed };
                }
            }
            backoff.snooze();
            at = self.front.load(Ordering::Relaxed);
        }
    }

    /// In a forked child, before anybody uses it there: nobody gets ready with a place any more that a thread of the parent had. What was
    /// being put in or taken out is in the ring no longer (nor is it dropped: it was that thread's). All else stays, in its order.
    pub fn mend(&mut self) {
        let back = self.back.load(Ordering::Relaxed);
        let (closed, end) = (back & self.closed, back & !self.closed);
        let front = self.front.load(Ordering::Relaxed);
        // What is there moves up to the front.
        let (mut at, mut to) = (front, front);
        while at != end {
            let (slot, next) = self.place(at);
            if slot.stamp.load(Ordering::Relaxed) == at.wrapping_add(1) {
                let (free, after) = self.place(to);
                // SAFETY: it was written, and is read once. The other place is this one, or has been left before.
                free.value.with_mut(|free| unsafe {
                    slot.value.with(|value| free.write(MaybeUninit::new((*value).assume_init_read())));
                });
                free.stamp.store(to.wrapping_add(1), Ordering::Relaxed);
                to = after;
            }
            at = next;
        }
        self.back.store(to | closed, Ordering::Relaxed);
        // All other places are empty.
        let end = front.wrapping_add(self.lap);
        while to != end {
            let (free, after) = self.place(to);
            free.stamp.store(to, Ordering::Relaxed);
            to = after;
        }
    }

    /// Nothing is put in any more. False: it was closed before.
    pub fn close(&self) -> bool {
        self.back.fetch_or(self.closed, Ordering::SeqCst) & self.closed == 0
    }

    /// Has it been closed?
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.back.load(Ordering::SeqCst) & self.closed != 0
    }

    /// How many places it has.
    pub fn places(&self) -> usize {
        self.slots.len()
    }

    /// How many are in it, those among them that are about to be.
    pub fn len(&self) -> usize {
        loop {
            let back = self.back.load(Ordering::SeqCst);
            let front = self.front.load(Ordering::SeqCst);
            // (What was true at one moment.)
            if self.back.load(Ordering::SeqCst) == back {
                return self.between(front, back & !self.closed);
            }
        }
    }

    fn between(&self, front: usize, back: usize) -> usize {
        let place = |at: usize| at & (self.closed - 1);
        match place(back).cmp(&place(front)) {
            std::cmp::Ordering::Greater => place(back) - place(front),
            std::cmp::Ordering::Less => self.places() - place(front) + place(back),
            std::cmp::Ordering::Equal if back == front => 0,
            std::cmp::Ordering::Equal => self.places(),
        }
    }

    /// Is nothing in it? (An item that is about to be counts.)
    #[inline]
    pub fn is_empty(&self) -> bool {
        let front = self.front.load(Ordering::SeqCst);
        self.back.load(Ordering::SeqCst) & !self.closed == front
    }

    /// Is there no place? (One that is about to be free counts as such.)
    #[inline]
    pub fn is_full(&self) -> bool {
        let back = self.back.load(Ordering::SeqCst) & !self.closed;
        self.front.load(Ordering::SeqCst).wrapping_add(self.lap) == back
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while let Taken::Got(..) = self.pop() {}
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_others_were_putting_in_or_taking_out_is_not_there() {
        for places in 1..6 {
            // By how far the front has gone, how many are there, and which of them are half put in, or half taken out.
            for (gone, many) in (0..3 * places).flat_map(|gone| (0..=places).map(move |many| (gone, many))) {
                for holes in 0..1 << many {
                    for taken in 0..=many {
                        is_mended(places, gone, many, holes, taken);
                    }
                }
            }
        }
    }

    fn is_mended(places: usize, gone: usize, many: usize, holes: usize, taken: usize) {
        let mut ring = Ring::new(places);
        for item in 0..gone {
            ring.push(Box::new(item)).unwrap();
            assert!(matches!(ring.pop(), Taken::Got(..)));
        }
        let mut left = Vec::new();
        for item in 0..many {
            let at = ring.back.load(Ordering::Relaxed);
            ring.push(Box::new(item)).unwrap();
            if holes >> item & 1 == 1 {
                ring.place(at).0.stamp.store(at, Ordering::Relaxed);
            } else if item >= taken {
                left.push(item);
            }
        }
        for _ in 0..taken {
            let at = ring.front.load(Ordering::Relaxed);
            ring.front.store(ring.place(at).1, Ordering::Relaxed);
        }
        ring.mend();
        assert_eq!((ring.len(), ring.is_full()), (left.len(), left.len() == places));
        let is_there = |item| matches!(ring.pop(), Taken::Got(got, _) if *got == item);
        assert!(left.iter().all(|item| is_there(*item)));
        for _ in 0..2 {
            assert_eq!(ring.pop(), Taken::Nothing);
            (0..places).for_each(|item| _ = ring.push(Box::new(item)).unwrap());
            assert!(matches!(ring.push(Box::new(0)), Err(Refused::Full(_))));
            assert!((0..places).all(is_there));
        }
        ring.close();
        ring.mend();
        assert_eq!((ring.pop(), ring.is_closed()), (Taken::Closed, true));
    }
}
