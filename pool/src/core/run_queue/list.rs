//! Entries chained through themselves: as many as there are, without memory of its own.

#![allow(unsafe_code)]

use super::{Entry, Words};
use crate::sync::{AtomicUsize, Ordering, SpinLock};
use std::marker::PhantomData;

/// See the module. Old entries are in front.
pub(crate) struct List<E> {
    ends: SpinLock<Ends>,
    /// Written under the lock.
    len: AtomicUsize,
    /// How often it has been changed, or is about to be.
    changes: AtomicUsize,
    _entries: PhantomData<fn(E) -> E>,
}

/// The names of the first and the last; 0 if there is none.
struct Ends {
    front: usize,
    back: usize,
}

/// The neighbours of an entry, in its link.
const BEFORE: usize = 0;
const BEHIND: usize = 1;

impl<E: Entry> List<E> {
    pub(crate) fn new() -> Self {
        List {
            ends: SpinLock::new(Ends { front: 0, back: 0 }),
            len: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            _entries: PhantomData,
        }
    }

    /// How many there are; at least so many as were there before and are still.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Acquire: who sees that some have gone sees where they have gone to (`Fifo`'s ring).
        self.len.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is `is` so, while nothing goes into the list or out of it?
    pub(crate) fn at_rest(&self, is: impl FnOnce() -> bool) -> bool {
        let before = self.changes.load(Ordering::Acquire);
        is() && self.changes.load(Ordering::Acquire) == before
    }

    /// Several changes in one.
    pub(crate) fn open<R>(&self, f: impl FnOnce(&mut Open<'_, E>) -> R) -> R {
        let mut ends = self.ends.lock();
        let changes = self.changes.load(Ordering::Relaxed);
        self.changes.store(changes.wrapping_add(1), Ordering::Release);
        let len = self.len.load(Ordering::Relaxed);
        let mut open = Open { ends: &mut ends, len, _entries: PhantomData };
        let result = f(&mut open);
        // Release: see `len`. At the end: what has been taken out is where others find it.
        self.len.store(open.len, Ordering::Release);
        result
    }

    pub(crate) fn push_back(&self, entry: E) {
        let name = entry.into_words().name();
        self.open(|list| list.push_back(name));
    }

    pub(crate) fn pop_front(&self) -> Option<E> {
        if self.is_empty() {
            return None;
        }
        let name = self.open(|list| list.pop_front())?;
        // SAFETY: it was in the list, once.
        Some(unsafe { E::from_name(name) })
    }

    /// Takes `take` of the number there are out of the front, at most [`BATCH`](super::BATCH).
    pub(crate) fn pop_batch(&self, take: impl FnOnce(usize) -> usize) -> Batch<E> {
        let mut batch = Batch::new();
        if !self.is_empty() {
            self.open(|list| {
                for _ in 0..take(list.len()).min(super::BATCH) {
                    let Some(name) = list.pop_front() else { break };
                    batch.add(name);
                }
            });
        }
        batch
    }
}

/// A list while its lock is held. It deals in names: an entry in it is nobody's.
pub(crate) struct Open<'a, E> {
    ends: &'a mut Ends,
    len: usize,
    _entries: PhantomData<fn(E) -> E>,
}

impl<E: Entry> Open<'_, E> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One of what is in the list.
    fn at(&self, name: usize) -> &super::Link {
        // SAFETY: it waits in this list, which we have the lock of.
        unsafe { E::link(name) }
    }

    /// The entry of this name is the list's from here on.
    pub(crate) fn push_back(&mut self, name: usize) {
        let back = std::mem::replace(&mut self.ends.back, name);
        self.at(name)[BEFORE].store(back, Ordering::Relaxed);
        self.at(name)[BEHIND].store(0, Ordering::Relaxed);
        match back {
            0 => self.ends.front = name,
            _ => self.at(back)[BEHIND].store(name, Ordering::Relaxed),
        }
        self.len += 1;
    }

    /// The entry of this name is the caller's from here on.
    pub(crate) fn pop_front(&mut self) -> Option<usize> {
        let front = self.ends.front;
        if front == 0 {
            return None;
        }
        let next = self.at(front)[BEHIND].load(Ordering::Relaxed);
        self.ends.front = next;
        match next {
            0 => self.ends.back = 0,
            _ => self.at(next)[BEFORE].store(0, Ordering::Relaxed),
        }
        self.len -= 1;
        Some(front)
    }

    /// As `pop_front`, the youngest.
    pub(crate) fn pop_back(&mut self) -> Option<usize> {
        let back = self.ends.back;
        if back == 0 {
            return None;
        }
        let next = self.at(back)[BEFORE].load(Ordering::Relaxed);
        self.ends.back = next;
        match next {
            0 => self.ends.front = 0,
            _ => self.at(next)[BEHIND].store(0, Ordering::Relaxed),
        }
        self.len -= 1;
        Some(back)
    }
}

/// Some entries on the way from one queue to another.
#[must_use = "what is in a batch is in no queue"]
pub(crate) struct Batch<E> {
    names: [usize; super::BATCH],
    next: usize,
    end: usize,
    _entries: PhantomData<fn(E) -> E>,
}

impl<E: Entry> Batch<E> {
    pub(super) fn new() -> Self {
        Batch { names: [0; super::BATCH], next: 0, end: 0, _entries: PhantomData }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// The entry of this name is the batch's from here on.
    pub(super) fn add(&mut self, name: usize) {
        self.names[self.end] = name;
        self.end += 1;
    }
}

impl<E: Entry> Iterator for Batch<E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        let name = *self.names[..self.end].get(self.next)?;
        self.next += 1;
        // SAFETY: `add` was given it, and it comes out once.
        Some(unsafe { E::from_name(name) })
    }
}
