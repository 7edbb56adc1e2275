//! Last in, first out, for its owner; thieves take the oldest. What does not fit into the ring is older than all in it.
//!
//! The ring is the deque of Chase and Lev, of a fixed size, with the orders of Lê, Pop, Cohen and Zappa Nardelli ("Correct and
//! efficient work-stealing for weak memory models", PPoPP 2013).

#![allow(unsafe_code)]

use super::list::{Batch, List};
use super::ring::{Ring, Steal};
use super::{BATCH, Entry, Words, share};
use crate::sync::{Ordering, fence};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

/// The owner's end.
pub(crate) struct Lifo<E: Entry, const SLOTS: usize> {
    queue: Arc<Queue<E, SLOTS>>,
    /// One thread at a time.
    _owner: PhantomData<Cell<()>>,
}

/// An end from which everybody takes.
pub(crate) struct LifoStealer<E: Entry, const SLOTS: usize>(Arc<Queue<E, SLOTS>>);

struct Queue<E: Entry, const SLOTS: usize> {
    ring: Ring<E, SLOTS>,
    more: List<E>,
}

impl<E: Entry, const SLOTS: usize> Lifo<E, SLOTS> {
    pub(crate) fn new() -> Self {
        Lifo { queue: Arc::new(Queue { ring: Ring::new(), more: List::new() }), _owner: PhantomData }
    }

    pub(crate) fn stealer(&self) -> LifoStealer<E, SLOTS> {
        LifoStealer(self.queue.clone())
    }

    #[inline]
    pub(crate) fn push(&self, entry: E) {
        let ring = &self.queue.ring;
        let tail = ring.tail.load(Ordering::Relaxed);
        // Acquire: what is overwritten has been read.
        if tail.wrapping_sub(ring.head.load(Ordering::Acquire)) >= SLOTS {
            self.spill();
        }
        ring.write(tail, entry.into_words());
        // Release: who sees the new tail sees the entry.
        ring.tail.store(tail.wrapping_add(1), Ordering::Release);
    }

    /// The older half of the ring goes to the list.
    #[cold]
    fn spill(&self) {
        let Queue { ring, more } = &*self.queue;
        more.open(|list| {
            let mut left = SLOTS / 2;
            while left > 0 {
                match ring.steal_one() {
                    Steal::Some(words) => list.push_back(words.name()),
                    // A thief: that makes room as well.
                    Steal::Retry => {}
                    Steal::Empty => break,
                }
                left -= 1;
            }
        });
    }

    /// The youngest.
    #[inline]
    pub(crate) fn pop(&self) -> Option<E> {
        let Queue { ring, more } = &*self.queue;
        if let Some(words) = ring.pop() {
            // SAFETY: it was in the queue, and is ours alone.
            return Some(unsafe { E::from_words(words) });
        }
        if more.is_empty() { None } else { self.refill() }
    }

    /// The ring is empty: the youngest of the list go there, but for the last, which is the caller's.
    #[cold]
    fn refill(&self) -> Option<E> {
        let Queue { ring, more } = &*self.queue;
        let youngest = more.open(|list| {
            let youngest = list.pop_back();
            let tail = ring.tail.load(Ordering::Relaxed);
            let count = list.len().min(BATCH).min(SLOTS);
            for number in (0..count).rev() {
                let Some(name) = list.pop_back() else { break };
                // SAFETY: it was in the list.
                ring.write(tail.wrapping_add(number), unsafe { E::from_name(name) }.into_words());
            }
            // Before the list's length says that they have gone.
            ring.tail.store(tail.wrapping_add(count), Ordering::Release);
            youngest
        });
        // SAFETY: it was in the list.
        youngest.map(|name| unsafe { E::from_name(name) })
    }

    /// The oldest.
    #[cold]
    pub(crate) fn pop_oldest(&self) -> Option<E> {
        self.queue.take_oldest()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl<E: Entry, const SLOTS: usize> LifoStealer<E, SLOTS> {
    /// Takes about half of what there is, the oldest; in the order of their age.
    pub(crate) fn steal(&self) -> Batch<E> {
        let Queue { ring, more } = &*self.0;
        let mut batch = more.pop_batch(|len| share(len + ring.len()));
        if batch.is_empty() {
            // One by one: the owner takes the youngest without a word, so that only the oldest is sure to be there still.
            for _ in 0..share(ring.len()) {
                match ring.steal_settled() {
                    Some(words) => batch.add(words.name()),
                    None => break,
                }
            }
        }
        batch
    }

    /// Takes the oldest.
    pub(crate) fn take(&self) -> Option<E> {
        self.0.take_oldest()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What was there before and is still there is seen.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<E: Entry, const SLOTS: usize> Queue<E, SLOTS> {
    fn len(&self) -> usize {
        self.more.len() + self.ring.len()
    }

    fn is_empty(&self) -> bool {
        // What goes to and fro between the two is seen in one of them, or makes this say that there is something.
        self.more.at_rest(|| self.more.is_empty() && self.ring.is_empty())
    }

    fn take_oldest(&self) -> Option<E> {
        if let Some(entry) = self.more.pop_front() {
            return Some(entry);
        }
        // SAFETY: it was in the queue, and is ours alone.
        self.ring.steal_settled().map(|words| unsafe { E::from_words(words) })
    }
}

impl<E: Entry, const SLOTS: usize> Ring<E, SLOTS> {
    /// By the owner.
    #[inline]
    fn pop(&self) -> Option<E::Words> {
        let tail = self.tail.load(Ordering::Relaxed);
        // (An old head only makes this take the long way, which is dearer: it has a fence.)
        if tail == self.head.load(Ordering::Relaxed) {
            return None;
        }
        let last = tail.wrapping_sub(1);
        // Release, here and below: whoever sees this tail sees what is before it.
        self.tail.store(last, Ordering::Release);
        // Either a thief sees this tail, or we see its head.
        fence(Ordering::SeqCst);
        let head = self.head.load(Ordering::Relaxed);
        let left = last.wrapping_sub(head) as isize;
        if left > 0 {
            return Some(self.read(last));
        }
        // The last one, if at all: who raises the head has it.
        let words = (left == 0).then(|| self.read(last)).filter(|_| {
            self.head
                .compare_exchange(head, head.wrapping_add(1), Ordering::SeqCst, Ordering::Relaxed)
                .is_ok()
        });
        self.tail.store(tail, Ordering::Release);
        words
    }

    fn steal_one(&self) -> Steal<E::Words> {
        let head = self.head.load(Ordering::Acquire);
        fence(Ordering::SeqCst);
        let tail = self.tail.load(Ordering::Acquire);
        if tail.wrapping_sub(head) as isize <= 0 {
            return Steal::Empty;
        }
        let words = self.read(head);
        match self.head.compare_exchange(head, head.wrapping_add(1), Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => Steal::Some(words),
            Err(_) => Steal::Retry,
        }
    }

    /// The oldest, unless there is none.
    fn steal_settled(&self) -> Option<E::Words> {
        loop {
            match self.steal_one() {
                Steal::Some(words) => return Some(words),
                Steal::Empty => return None,
                Steal::Retry => std::hint::spin_loop(),
            }
        }
    }
}
