//! First in, first out, for its owner and for thieves. What does not fit into the ring is younger than all in it.

#![allow(unsafe_code)]

use super::list::{Batch, List};
use super::ring::{Ring, Steal};
use super::{BATCH, Entry, Words, share};
use crate::sync::Ordering;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

/// The owner's end.
pub(crate) struct Fifo<E: Entry, const SLOTS: usize> {
    queue: Arc<Queue<E, SLOTS>>,
    /// One thread at a time.
    _owner: PhantomData<Cell<()>>,
}

/// An end from which everybody takes.
pub(crate) struct FifoStealer<E: Entry, const SLOTS: usize>(Arc<Queue<E, SLOTS>>);

struct Queue<E: Entry, const SLOTS: usize> {
    ring: Ring<E, SLOTS>,
    more: List<E>,
}

impl<E: Entry, const SLOTS: usize> Fifo<E, SLOTS> {
    pub(crate) fn new() -> Self {
        Fifo { queue: Arc::new(Queue { ring: Ring::new(), more: List::new() }), _owner: PhantomData }
    }

    pub(crate) fn stealer(&self) -> FifoStealer<E, SLOTS> {
        FifoStealer(self.queue.clone())
    }

    /// To the end of the queue.
    #[inline]
    pub(crate) fn push(&self, entry: E) {
        let Queue { ring, more } = &*self.queue;
        // (Only the owner adds to the list, so if it is empty it stays so.)
        if !more.is_empty() {
            return self.push_more(entry);
        }
        let tail = ring.tail.load(Ordering::Relaxed);
        // Acquire: what is overwritten has been read.
        if tail.wrapping_sub(ring.head.load(Ordering::Acquire)) >= SLOTS {
            return self.push_more(entry);
        }
        ring.write(tail, entry.into_words());
        // Release: who sees the new tail sees the entry.
        ring.tail.store(tail.wrapping_add(1), Ordering::Release);
    }

    #[cold]
    fn push_more(&self, entry: E) {
        self.queue.more.push_back(entry);
    }

    /// The oldest.
    #[inline]
    pub(crate) fn pop(&self) -> Option<E> {
        let ring = &self.queue.ring;
        let tail = ring.tail.load(Ordering::Relaxed);
        let mut head = ring.head.load(Ordering::Relaxed);
        while head != tail {
            let words = ring.read(head);
            // Release: it has been read before the owner sees that its slot is free.
            match ring.head.compare_exchange(head, head.wrapping_add(1), Ordering::Release, Ordering::Relaxed)
            {
                // SAFETY: it was in the queue, and is ours by the exchange alone.
                Ok(_) => return Some(unsafe { E::from_words(words) }),
                Err(now) => head = now,
            }
        }
        if self.queue.more.is_empty() { None } else { self.refill(tail) }
    }

    /// The ring is empty: the oldest of the list go there, but for the first, which is the caller's.
    #[cold]
    fn refill(&self, tail: usize) -> Option<E> {
        let Queue { ring, more } = &*self.queue;
        let first = more.open(|list| {
            let first = list.pop_front();
            let room = SLOTS.min(BATCH);
            let mut end = tail;
            while end.wrapping_sub(tail) < room
                && let Some(name) = list.pop_front()
            {
                // SAFETY: it was in the list.
                ring.write(end, unsafe { E::from_name(name) }.into_words());
                end = end.wrapping_add(1);
            }
            // Before the list's length says that they have gone.
            ring.tail.store(end, Ordering::Release);
            first
        });
        // SAFETY: it was in the list.
        first.map(|name| unsafe { E::from_name(name) })
    }

    /// Words of the next `most` entries in the ring, oldest first: hints, since others may take them meanwhile. (For
    /// prefetching; so far the model alone looks.)
    #[cfg(loom)]
    pub(crate) fn look(&self, most: usize) -> impl Iterator<Item = E::Words> {
        let ring = &self.queue.ring;
        let head = ring.head.load(Ordering::Relaxed);
        let len = ring.tail.load(Ordering::Relaxed).wrapping_sub(head);
        (0..len.min(most)).map(move |at| ring.read(head.wrapping_add(at)))
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl<E: Entry, const SLOTS: usize> FifoStealer<E, SLOTS> {
    /// Takes about half of what there is, the oldest.
    pub(crate) fn steal(&self) -> Batch<E> {
        let Queue { ring, more } = &*self.0;
        loop {
            match ring.steal(BATCH) {
                Steal::Some(batch) => return batch,
                Steal::Retry => std::hint::spin_loop(),
                Steal::Empty => return more.pop_batch(share),
            }
        }
    }

    /// Takes the oldest.
    pub(crate) fn take(&self) -> Option<E> {
        loop {
            match self.0.ring.steal(1) {
                Steal::Some(mut one) => return one.next(),
                Steal::Retry => std::hint::spin_loop(),
                Steal::Empty => return self.0.more.pop_front(),
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What was there before and is still there is seen.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // In this order: what goes from the list to the ring is seen in one of them.
        self.0.more.is_empty() && self.0.ring.is_empty()
    }
}

impl<E: Entry, const SLOTS: usize> Queue<E, SLOTS> {
    fn len(&self) -> usize {
        self.more.len() + self.ring.len()
    }
}

impl<E: Entry, const SLOTS: usize> Ring<E, SLOTS> {
    fn steal(&self, most: usize) -> Steal<Batch<E>> {
        // Acquire: the tail is not older than this.
        let head = self.head.load(Ordering::Acquire);
        let len = self.tail.load(Ordering::Acquire).wrapping_sub(head);
        if len == 0 {
            return Steal::Empty;
        }
        if len > SLOTS {
            // An old head, with a new tail.
            return Steal::Retry;
        }
        let count = share(len).min(most);
        let mut batch = Batch::new();
        for number in 0..count {
            batch.add(self.read(head.wrapping_add(number)).name());
        }
        // AcqRel: as in `pop`; and what others have taken before us has been read.
        match self.head.compare_exchange(head, head.wrapping_add(count), Ordering::AcqRel, Ordering::Relaxed)
        {
            Ok(_) => Steal::Some(batch),
            // (What was read are others' entries, or no entries at all: they do not come out of the batch.)
            Err(_) => Steal::Retry,
        }
    }
}
