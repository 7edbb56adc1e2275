//! The fixed part of a queue: slots between two counters that only grow.

use super::{Entry, Words};
use crate::sync::{AtomicUsize, CachePadded, Ordering};
use std::marker::PhantomData;

/// `head` is the oldest entry, `tail` is behind the youngest; the slot of a number is its remainder. What may be in a slot is decided
/// by who uses it: [`Fifo`](super::fifo), [`Lifo`](super::lifo).
pub(super) struct Ring<E: Entry, const SLOTS: usize> {
    pub(super) head: CachePadded<AtomicUsize>,
    pub(super) tail: CachePadded<AtomicUsize>,
    slots: [<E::Words as Words>::Slot; SLOTS],
    _entries: PhantomData<fn(E) -> E>,
}

impl<E: Entry, const SLOTS: usize> Ring<E, SLOTS> {
    pub(super) fn new() -> Self {
        const { assert!(SLOTS.is_power_of_two() && SLOTS >= 2) };
        Ring {
            head: CachePadded::new(AtomicUsize::new(0)),
            tail: CachePadded::new(AtomicUsize::new(0)),
            slots: std::array::from_fn(|_| E::Words::empty()),
            _entries: PhantomData,
        }
    }

    #[inline(always)]
    fn slot(&self, number: usize) -> &<E::Words as Words>::Slot {
        &self.slots[number & (SLOTS - 1)]
    }

    /// The words of slot `number`. They are an entry's if nobody has taken it, or will, by what the caller does next.
    #[inline(always)]
    pub(super) fn read(&self, number: usize) -> E::Words {
        E::Words::read(self.slot(number))
    }

    #[inline(always)]
    pub(super) fn write(&self, number: usize, words: E::Words) {
        words.write(self.slot(number));
    }

    /// How many there are, as it looks from here.
    #[inline]
    pub(super) fn len(&self) -> usize {
        let head = self.head.load(Ordering::Acquire);
        let len = self.tail.load(Ordering::Acquire).wrapping_sub(head);
        // (Below zero for a moment while its owner takes the last.)
        if (len as isize) < 0 { 0 } else { len.min(SLOTS) }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a thief gets from a ring.
pub(super) enum Steal<T> {
    Some(T),
    Empty,
    /// Somebody else was quicker: there may be more.
    Retry,
}
