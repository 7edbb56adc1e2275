//! A queue without a lock, into which many may be put at once, and out of which many may be taken: whoever has reserved a run of places,
//! by one step, fills or empties them by plain reads and writes.
//!
//! It is a list of blocks, as crossbeam's `SegQueue` is, whose way to number the places this is: each block has one number more than
//! places, and while an end stands at that number the block behind it is being put in, so others wait for a moment. What is put in comes
//! out in one order, that of the reservations. The numbers begin anew when they end, as a lap does.
//!
//! Others wait for whoever has reserved places and not filled them. So blocks are made and given back, which is the allocator's affair,
//! while nobody has such places.

#![allow(unsafe_code)]

use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, Backoff, Ordering, SLOTS, UnsafeCell, fence};
use crossbeam::utils::CachePadded;
use std::mem::MaybeUninit;
use std::ptr;
use std::vec;

/// Numbers of a block.
pub(crate) const LAP: usize = SLOTS + 1;
/// In the number of the front: there is a block behind its own.
pub(crate) const HAS_NEXT: usize = 1;
/// In the number of the back: no more places are reserved.
pub(crate) const CLOSED: usize = 1;
/// A place's number without that.
pub(crate) const ONE: usize = 2;

pub(crate) struct Slot<T> {
    pub(crate) value: UnsafeCell<MaybeUninit<T>>,
    pub(crate) written: AtomicBool,
}

pub(crate) struct Block<T> {
    pub(crate) next: AtomicPtr<Block<T>>,
    /// The number of its first place, times [`ONE`]. For `mend.rs` alone.
    pub(crate) first: usize,
    /// So many of its places are empty again.
    pub(crate) emptied: AtomicUsize,
    pub(crate) slots: [Slot<T>; SLOTS],
}

impl<T> Block<T> {
    /// (Written where it is to be: items may be large, and the stacks of tasks are small.)
    pub(crate) fn new() -> Box<Self> {
        let mut block = Box::<Self>::new_uninit();
        let it = block.as_mut_ptr();
        // SAFETY: each field is written once, in memory of the caller's, and nothing unwinds.
        unsafe {
            (&raw mut (*it).next).write(AtomicPtr::new(ptr::null_mut()));
            (&raw mut (*it).first).write(0);
            (&raw mut (*it).emptied).write(AtomicUsize::new(0));
            for at in 0..SLOTS {
                let slot = &raw mut (*it).slots[at];
                (&raw mut (*slot).value).write(UnsafeCell::new(MaybeUninit::uninit()));
                (&raw mut (*slot).written).write(AtomicBool::new(false));
            }
            block.assume_init()
        }
    }

    /// The block behind this one, which is being put in.
    fn next(&self) -> *mut Self {
        let backoff = Backoff::new();
        loop {
            let next = self.next.load(Ordering::Acquire);
            if !next.is_null() {
                return next;
            }
            backoff.snooze();
        }
    }
}

pub(crate) struct End<T> {
    /// The number of the next place, times [`ONE`].
    pub(crate) at: AtomicUsize,
    /// Its block.
    pub(crate) block: AtomicPtr<Block<T>>,
}

impl<T> End<T> {
    /// The block of number `at`, and the place there; of a later number, if a block is being put in at this one.
    #[inline]
    fn place(&self, at: &mut usize, backoff: &Backoff) -> (*mut Block<T>, usize) {
        loop {
            let from = offset(*at);
            if from < SLOTS {
                // (If the number is still the same when places are taken, this is its block.)
                return (self.block.load(Ordering::Acquire), from);
            }
            backoff.snooze();
            *at = self.at.load(Ordering::Acquire);
        }
    }
}

/// See the module.
pub struct Queue<T> {
    pub(crate) front: CachePadded<End<T>>,
    pub(crate) back: CachePadded<End<T>>,
    /// A block that is empty, to be used again.
    spare: CachePadded<AtomicPtr<Block<T>>>,
}

// SAFETY: each item is put in by one thread and taken out by one.
unsafe impl<T: Send> Send for Queue<T> {}
// SAFETY: as above; nobody sees an item that lies in it.
unsafe impl<T: Send> Sync for Queue<T> {}

const OPEN: &str = "nobody closes it who puts in so";

/// The place of number `at` in its block.
pub(crate) fn offset(at: usize) -> usize {
    at / ONE % LAP
}

/// Is it the first place of a block?
#[inline]
fn is_first(at: usize) -> bool {
    offset(at) == 0
}

/// How many places lie between these numbers.
fn places_between(front: usize, back: usize) -> usize {
    let first = front / ONE / LAP * LAP * ONE;
    let before = |at: usize| at.wrapping_sub(first) / ONE - at.wrapping_sub(first) / ONE / LAP;
    before(back).saturating_sub(before(front))
}

/// Places of one block that are whoever's who has reserved them.
pub(crate) struct Run<T> {
    block: *mut Block<T>,
    from: usize,
    to: usize,
    /// Is the first of them the first of the block?
    is_first: bool,
}

impl<T> Run<T> {
    #[inline]
    fn slot(&self, at: usize) -> &Slot<T> {
        // SAFETY: a block stays until all its places have been emptied, and these are not yet.
        unsafe { &(*self.block).slots[at] }
    }

    /// To be done once for each place that was reserved.
    #[inline]
    fn fill(&self, at: usize, item: T) {
        let slot = self.slot(at);
        // SAFETY: the place is the caller's alone until it is marked as written.
        slot.value.with_mut(|value| unsafe { (*value).write(item) });
        slot.written.store(true, Ordering::Release);
    }

    /// To be done once for each place that was claimed.
    #[inline]
    fn empty(&self, at: usize) -> T {
        let slot = self.slot(at);
        if !slot.written.load(Ordering::Acquire) {
            slot.until_written();
        }
        // SAFETY: it was written, and is read once: the place is the caller's alone.
        let item = slot.value.with(|value| unsafe { (*value).assume_init_read() });
        slot.written.store(false, Ordering::Relaxed);
        item
    }
}

impl<T> Slot<T> {
    #[cold]
    fn until_written(&self) {
        let backoff = Backoff::new();
        while !self.written.load(Ordering::Acquire) {
            backoff.snooze();
        }
    }
}

impl<T> Queue<T> {
    /// An empty one.
    pub fn new() -> Self {
        Self::with_lap(0)
    }

    /// Begins with this lap.
    pub(crate) fn with_lap(lap: usize) -> Self {
        let at = lap * LAP * ONE;
        let mut first = Block::new();
        first.first = at;
        let first = Box::into_raw(first);
        let end = || CachePadded::new(End { at: AtomicUsize::new(at), block: AtomicPtr::new(first) });
        Queue { front: end(), back: end(), spare: CachePadded::new(AtomicPtr::new(ptr::null_mut())) }
    }

    /// To a queue that nobody closes.
    #[inline]
    pub(crate) fn push(&self, item: T) {
        let mut behind = None;
        let run = self.reserve(1, &mut behind).expect(OPEN);
        run.fill(run.from, item);
        self.keep(behind);
    }

    /// Unless it is [closed](Self::close). True at times, some dozens of items apart, if as many have not been taken out: whoever goes on
    /// for long may let those run who take out.
    #[inline]
    pub fn push_open(&self, item: T) -> Result<bool, T> {
        let mut behind = None;
        let Some(run) = self.reserve(1, &mut behind) else {
            self.keep(behind);
            return Err(item);
        };
        run.fill(run.from, item);
        self.keep(behind);
        Ok(run.is_first && self.is_long())
    }

    /// Does as much lie in it as a block takes, or more?
    #[cold]
    fn is_long(&self) -> bool {
        self.len() >= SLOTS
    }

    /// Nothing is put in any more. False: it was closed before.
    pub fn close(&self) -> bool {
        self.back.at.fetch_or(CLOSED, Ordering::SeqCst) & CLOSED == 0
    }

    /// Has it been closed?
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.back.at.load(Ordering::SeqCst) & CLOSED != 0
    }

    /// Puts the first `many` of `items` in. They are together as far as a block goes. (To a queue that nobody closes.)
    pub(crate) fn push_all(&self, items: &mut vec::IntoIter<T>, many: usize) {
        let (mut left, mut behind) = (many.min(items.len()), None);
        while left > 0 {
            let run = self.reserve(left, &mut behind).expect(OPEN);
            left -= run.to - run.from;
            for (at, item) in (run.from..run.to).zip(&mut *items) {
                run.fill(at, item);
            }
        }
        self.keep(behind);
    }

    /// Up to `many` places at the back, one at least. All of them are to be filled. `behind`: a block for behind the last one, if it is made
    /// already, and if it is not used. `None`: it is closed.
    #[inline]
    pub(crate) fn reserve(&self, many: usize, behind: &mut Option<Box<Block<T>>>) -> Option<Run<T>> {
        let backoff = Backoff::new();
        let mut at = self.back.at.load(Ordering::Acquire);
        loop {
            let (block, from) = self.back.place(&mut at, &backoff);
            if at & CLOSED != 0 {
                return None;
            }
            let to = SLOTS.min(from.saturating_add(many));
            // (Made before anybody waits for it.)
            if to == SLOTS && behind.is_none() {
                *behind = Some(self.empty_block());
            }
            let after = at + (to - from) * ONE;
            match self.back.at.compare_exchange_weak(at, after, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => {
                    let next = if to == SLOTS { behind.take() } else { None };
                    if let Some(mut next) = next {
                        next.first = after.wrapping_add(ONE);
                        let next = Box::into_raw(next);
                        self.back.block.store(next, Ordering::Release);
                        // (It may be closed meanwhile.)
                        self.back.at.fetch_add(ONE, Ordering::Release);
                        // (Last: who finds it there takes places that this end has reserved by then.)
                        // SAFETY: see `Run::slot`.
                        unsafe { (*block).next.store(next, Ordering::Release) };
                    }
                    return Some(Run { block, from, to, is_first: is_first(at) });
                }
                Err(now) => {
                    at = now;
                    backoff.spin();
                }
            }
        }
    }

    /// Takes out the first.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        Some(self.pop_or_rest()?.0)
    }

    /// As [`pop`](Self::pop). And true at times, some dozens of items apart: whoever goes on for long may let others run now.
    #[inline]
    pub fn pop_or_rest(&self) -> Option<(T, bool)> {
        let run = self.claim(1)?;
        let item = run.empty(run.from);
        self.emptied(&run);
        Some((item, run.is_first))
    }

    /// Takes out up to `max` (one at least), and as many as lie together. Gives how many: 0 if it is empty.
    pub(crate) fn pop_all(&self, max: usize, take: impl FnMut(T)) -> usize {
        let Some(run) = self.claim(max) else { return 0 };
        let many = run.to - run.from;
        Emptying { queue: self, left: run.from, run }.each(take);
        many
    }

    /// All places of this run are empty.
    #[inline]
    fn emptied(&self, run: &Run<T>) {
        let many = run.to - run.from;
        // SAFETY: see `Run::slot`.
        let before = unsafe { (*run.block).emptied.fetch_add(many, Ordering::AcqRel) };
        if before + many == SLOTS {
            // SAFETY: all have emptied their places, whoever has filled them is through, and both ends have gone on to other blocks: so
            // has whoever put in the one behind it, for the front has been there.
            self.use_again(unsafe { Box::from_raw(run.block) });
        }
    }

    #[cold]
    fn use_again(&self, block: Box<Block<T>>) {
        block.next.store(ptr::null_mut(), Ordering::Relaxed);
        block.emptied.store(0, Ordering::Relaxed);
        self.keep(Some(block));
    }

    /// Up to `max` places, one at least, at the front that are filled, or about to be.
    #[inline]
    pub(crate) fn claim(&self, max: usize) -> Option<Run<T>> {
        debug_assert!(max > 0, "of a block that nobody has places in nothing is known");
        let backoff = Backoff::new();
        let mut at = self.front.at.load(Ordering::Acquire);
        loop {
            let (block, from) = self.front.place(&mut at, &backoff);
            let (mut has_next, mut end) = (at & HAS_NEXT, SLOTS);
            if has_next == 0 {
                fence(Ordering::SeqCst);
                let back = self.back.at.load(Ordering::Relaxed);
                if at / ONE == back / ONE {
                    return None;
                }
                if at / ONE / LAP == back / ONE / LAP {
                    end = offset(back);
                } else {
                    has_next = HAS_NEXT;
                }
            }
            let to = end.min(from.saturating_add(max));
            let after = (at / ONE + to - from) * ONE;
            let new = after | has_next;
            match self.front.at.compare_exchange_weak(at, new, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => {
                    if to == SLOTS {
                        // SAFETY: see `Run::slot`; and the block behind it stays as long as nobody claims places there.
                        let next = unsafe { (*block).next() };
                        // SAFETY: as above.
                        let more = unsafe { !(*next).next.load(Ordering::Relaxed).is_null() };
                        self.front.block.store(next, Ordering::Release);
                        let has_next = if more { HAS_NEXT } else { 0 };
                        self.front.at.store(after.wrapping_add(ONE) | has_next, Ordering::Release);
                    }
                    return Some(Run { block, from, to, is_first: is_first(at) });
                }
                Err(now) => {
                    at = now;
                    backoff.spin();
                }
            }
        }
    }

    /// How many are in it, those among them that are about to be.
    pub fn len(&self) -> usize {
        loop {
            let back = self.back.at.load(Ordering::SeqCst);
            let front = self.front.at.load(Ordering::SeqCst);
            // (What was true at one moment.)
            if self.back.at.load(Ordering::SeqCst) == back {
                return places_between(front, back);
            }
        }
    }

    /// (It may be said not to be for a moment more, after the last has been claimed.)
    #[inline]
    pub fn is_empty(&self) -> bool {
        let front = self.front.at.load(Ordering::SeqCst);
        let back = self.back.at.load(Ordering::SeqCst);
        front / ONE == back / ONE
    }

    fn empty_block(&self) -> Box<Block<T>> {
        let spare = self.spare.swap(ptr::null_mut(), Ordering::Acquire);
        if spare.is_null() {
            return Block::new();
        }
        // SAFETY: whoever kept it had it alone, and now the caller has.
        unsafe { Box::from_raw(spare) }
    }

    /// Nobody knows this block, if there is one, which is as a new one.
    #[inline]
    fn keep(&self, block: Option<Box<Block<T>>>) {
        let Some(block) = block.map(Box::into_raw) else { return };
        let kept = self.spare.compare_exchange(ptr::null_mut(), block, Ordering::Release, Ordering::Relaxed);
        if kept.is_err() {
            // SAFETY: it is the caller's still.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
        let spare = self.spare.load(Ordering::Acquire);
        let block = self.front.block.load(Ordering::Acquire);
        // SAFETY: nobody else is here; the queue is empty, so there is one block and perhaps the spare one.
        unsafe {
            drop(Box::from_raw(block));
            if !spare.is_null() {
                drop(Box::from_raw(spare));
            }
        }
    }
}

/// A run that is being taken out; what is left of it when that panics is dropped.
struct Emptying<'a, T> {
    queue: &'a Queue<T>,
    run: Run<T>,
    left: usize,
}

impl<T> Emptying<'_, T> {
    fn each(mut self, mut take: impl FnMut(T)) {
        while let Some(item) = self.next() {
            take(item);
        }
    }

    fn next(&mut self) -> Option<T> {
        let at = self.left;
        (at < self.run.to).then(|| {
            self.left += 1;
            self.run.empty(at)
        })
    }
}

impl<T> Drop for Emptying<'_, T> {
    fn drop(&mut self) {
        while let Some(item) = self.next() {
            drop(item);
        }
        self.queue.emptied(&self.run);
    }
}
