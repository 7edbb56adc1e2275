//! What is ready and waits: queues that allocate nothing, free nothing, and run nothing of anybody's.
//!
//! ```text
//!   Fifo    thieves and owner ◄── [ ring ] ◄── list when the ring is full ◄── owner
//!   Lifo    thieves ◄── list of what did not fit ◄── [ ring ] ◄──► owner
//!   Injector            whoever wants some ◄── list ◄── anybody
//! ```
//! A queue has one *owner*, who holds the core, and *ends* from which everybody else takes. Its ring is fixed. What does not fit lies in a
//! [`List`](list::List): it is chained through the entries themselves under a [spin lock](crate::sync), in the queue's own order. So there
//! is no memory to be reclaimed, and no collector whose deferred functions could run in the middle of a push.
//!
//! An entry is one word or two. The first names it, and is all that is needed to find it again. The second is a copy of something that is
//! cheaper to have at hand, like the stack pointer of a task that is to be prefetched.
//!
//! `tests/run_queue_model.rs` checks the files of this folder with loom against this very source.

#![allow(unsafe_code)]

pub(crate) mod fifo;
pub(crate) mod lifo;
pub(crate) mod list;
mod ring;

use crate::sync::{AtomicUsize, Ordering};

/// What can wait in a queue.
///
/// # Safety
/// The words of one entry turn into one again, on any thread. As long as it is neither dropped nor used, its link is there, and nobody
/// else uses it.
pub(crate) unsafe trait Entry: Sized + Send {
    type Words: Words;

    fn into_words(self) -> Self::Words;

    /// # Safety
    /// The words are of `into_words`, and turned back once.
    unsafe fn from_words(words: Self::Words) -> Self;

    /// As `from_words`, from the first word alone.
    ///
    /// # Safety
    /// As there.
    unsafe fn from_name(name: usize) -> Self;

    /// # Safety
    /// The entry of this name is waiting while the link is used.
    unsafe fn link<'a>(name: usize) -> &'a Link;
}

/// Two words in an entry, for the list that it waits in: the names of its neighbours.
pub(crate) type Link = [AtomicUsize; 2];

/// One word or two.
pub(crate) trait Words: Copy {
    type Slot: Send + Sync;

    fn empty() -> Self::Slot;
    fn name(self) -> usize;
    fn write(self, slot: &Self::Slot);
    fn read(slot: &Self::Slot) -> Self;
}

impl Words for usize {
    type Slot = AtomicUsize;

    fn empty() -> AtomicUsize {
        AtomicUsize::new(0)
    }

    #[inline(always)]
    fn name(self) -> usize {
        self
    }

    #[inline(always)]
    fn write(self, slot: &AtomicUsize) {
        slot.store(self, Ordering::Relaxed);
    }

    #[inline(always)]
    fn read(slot: &AtomicUsize) -> usize {
        slot.load(Ordering::Relaxed)
    }
}

impl Words for [usize; 2] {
    type Slot = [AtomicUsize; 2];

    fn empty() -> [AtomicUsize; 2] {
        [AtomicUsize::new(0), AtomicUsize::new(0)]
    }

    #[inline(always)]
    fn name(self) -> usize {
        self[0]
    }

    #[inline(always)]
    fn write(self, slot: &[AtomicUsize; 2]) {
        slot[0].store(self[0], Ordering::Relaxed);
        slot[1].store(self[1], Ordering::Relaxed);
    }

    #[inline(always)]
    fn read(slot: &[AtomicUsize; 2]) -> [usize; 2] {
        [slot[0].load(Ordering::Relaxed), slot[1].load(Ordering::Relaxed)]
    }
}

/// How many a thief takes at most.
pub(crate) const BATCH: usize = 32;

/// The share of one who takes from `len`.
pub(crate) fn share(len: usize) -> usize {
    len.div_ceil(2).min(BATCH)
}
