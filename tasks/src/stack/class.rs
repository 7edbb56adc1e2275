//! The slots of one size: who was promised one, which are free, where new ones are cut.
//!
//! A task is promised a slot when it is spawned, and takes it when it first runs. That has two effects:
//!
//! * What can fail (no memory, no addresses, no guard) fails in the spawn.
//! * A thousand tasks that run one after the other use one and the same warm slot.
//!
//! There are never fewer slots than promises. A slot that a worker keeps for itself (`cache.rs`) has a promise of its
//! own. So [`Class::take`] always finds one.

#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::checker;
use crate::own;
use crate::slab::failure::Failure;
use crate::slab::guard::{self, GUARD};
use crate::slab::{self, Slot};
use crate::util::lock::Mutex;
use crate::util::room::{self, Room};

pub(super) const SMALLEST: u32 = 17; // 128 KiB: the guard and nearly as much again
pub(super) const LARGEST: u32 = 30;
const SIZES: usize = (LARGEST - SMALLEST + 1) as usize;
const FIRST_SLAB: usize = 16 << 20;
const LARGEST_SLAB: usize = 16 << 30;
/// So many stacks are returned under one hold of the lock.
const TRIM_BATCH: usize = 16;
/// So many batches in one call. (A stack takes some microseconds.)
const TRIM_BATCHES: usize = 4;

/// A slot is for tasks with a block of their own, or for bare ones, for good.
static BARE: [Class; SIZES] = [const { Class::new() }; SIZES];
static WITH_BLOCK: [Class; SIZES] = [const { Class::new() }; SIZES];

/// Which class: the size of its slots as a power of two, and whether they have a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(super) class: u8,
    pub(super) with_block: bool,
}

impl Key {
    pub(super) fn size(self) -> usize {
        1 << self.class
    }

    pub(super) fn class(self) -> &'static Class {
        let classes = if self.with_block { &WITH_BLOCK } else { &BARE };
        &classes[usize::from(self.class) - SMALLEST as usize]
    }

    /// All there are.
    pub(super) fn all() -> impl Iterator<Item = Key> {
        let sizes = SMALLEST as u8..=LARGEST as u8;
        [false, true]
            .into_iter()
            .flat_map(move |with_block| sizes.clone().map(move |class| Key { class, with_block }))
    }

    /// The slot that begins at `low`.
    pub(super) fn slot(self, low: usize) -> Slot {
        Slot { low, top: low + self.size() }
    }
}

/// See the module.
pub(super) struct Class {
    /// Slots promised: to tasks that have not ended, and to workers for the tasks that they will spawn.
    promised: AtomicUsize,
    slots: AtomicUsize,
    lists: Mutex<Lists>,
}

struct Lists {
    /// The low ends of free slots; the last was used last.
    free: Vec<usize>,
    /// The first so many of `free` hold no memory.
    clean: usize,
    /// The smallest length of `free` since the last trim: so many were not needed.
    idle: usize,
    /// Slots that nobody has had yet; the last is the next.
    unused: Vec<usize>,
    /// What is left of the newest slab.
    uncut: (usize, usize),
}

/// What [`Class::count`] tells.
pub(super) struct Count {
    pub(super) promised: usize,
    pub(super) slots: usize,
    pub(super) returned: usize,
}

impl Class {
    const fn new() -> Self {
        let lists = Lists { free: Vec::new(), clean: 0, idle: 0, unused: Vec::new(), uncut: (0, 0) };
        Class { promised: AtomicUsize::new(0), slots: AtomicUsize::new(0), lists: Mutex::new(lists) }
    }

    /// Promises so many slots: then they are there.
    pub(super) fn promise(&self, count: usize, key: Key) -> io::Result<()> {
        let promised = self.promised.fetch_add(count, Ordering::AcqRel) + count;
        if promised > self.slots.load(Ordering::Acquire) {
            self.enlarge(key).inspect_err(|_| self.take_back(count))?;
        }
        Ok(())
    }

    /// So many promises less. Their slots have been given back, or were never taken.
    pub(super) fn take_back(&self, count: usize) {
        self.promised.fetch_sub(count, Ordering::AcqRel);
    }

    #[cold]
    fn enlarge(&self, key: Key) -> io::Result<()> {
        loop {
            let mut lists = self.lists.lock();
            let slots = self.slots.load(Ordering::Relaxed);
            if self.promised.load(Ordering::Acquire) <= slots {
                return Ok(());
            }
            let cut = lists.cut(key, slots);
            if cut.is_ok() {
                self.slots.store(slots + 1, Ordering::Release);
            }
            drop(lists);
            match cut {
                Ok(()) => {}
                Err(Failure::NoRoom { free, unused }) => self.make_room(free, unused)?,
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Room for so many in the lists, made without the lock.
    fn make_room(&self, free: usize, unused: usize) -> io::Result<()> {
        let no_memory = |_| io::Error::from(Failure::NoRoom { free, unused });
        let rounded = |count: usize| count.next_power_of_two().max(16);
        let mut free = Vec::try_with_room_for(rounded(free)).map_err(no_memory)?;
        let mut unused = Vec::try_with_room_for(rounded(unused)).map_err(no_memory)?;
        let mut lists = self.lists.lock();
        room::replace(&mut lists.free, &mut free);
        room::replace(&mut lists.unused, &mut unused);
        // (Before what has been replaced.)
        drop(lists);
        Ok(())
    }

    /// A slot for somebody who was promised one.
    pub(super) fn take(&self) -> usize {
        let slot = self.lists.lock().pop();
        slot.expect("there is a slot for each promise")
    }

    /// A slot whose task has ended.
    pub(super) fn give(&self, low: usize) {
        let mut lists = self.lists.lock();
        // (As there was when the slot was cut, and has been since.)
        debug_assert!(lists.free.len() < lists.free.capacity());
        lists.free.push(low);
    }

    pub(super) fn count(&self) -> Count {
        let lists = self.lists.lock();
        let (promised, slots) = (self.promised.load(Ordering::Relaxed), self.slots.load(Ordering::Relaxed));
        Count { promised: promised.min(slots), slots, returned: lists.clean }
    }

    /// Are there free slots that hold memory?
    pub(super) fn has_surplus(&self) -> bool {
        if self.slots.load(Ordering::Acquire) == 0 {
            return false;
        }
        self.lists.lock().have_surplus()
    }

    /// Returns the memory of some slots that nobody has needed since the round before. True if there are more of them.
    pub(super) fn trim(&self, key: Key) -> bool {
        (0..TRIM_BATCHES).all(|_| self.trim_some(key))
    }

    /// The end of a round. True if there is something for the next one.
    pub(super) fn end_trim(&self) -> bool {
        let mut lists = self.lists.lock();
        lists.idle = lists.free.len();
        lists.have_surplus()
    }

    /// Returns a batch of idle slots' memory; false when none is left.
    fn trim_some(&self, key: Key) -> bool {
        let mut kept = [0; TRIM_BATCH];
        let mut lists = self.lists.lock();
        let end = lists.idle.min(lists.clean + TRIM_BATCH);
        for (&low, kept) in lists.free[lists.clean.min(end)..end].iter().zip(&mut kept) {
            // SAFETY: a free slot, held by the lock; the guard is left alone, and so is what the slot's
            // head refers to: nothing is left of that.
            unsafe {
                *kept = own::take_kept(&(*key.slot(low).head()).block);
                libc::madvise((low + GUARD) as *mut _, key.size() - GUARD, libc::MADV_DONTNEED);
            }
        }
        lists.clean = lists.clean.max(end);
        let more = lists.clean < lists.idle;
        drop(lists);
        for kept in kept {
            // SAFETY: taken once, from above.
            unsafe { own::free_kept(kept) };
        }
        more
    }
}

impl Lists {
    fn have_surplus(&self) -> bool {
        self.clean < self.free.len()
    }

    fn pop(&mut self) -> Option<usize> {
        let Some(low) = self.free.pop() else { return self.unused.pop() };
        self.clean = self.clean.min(self.free.len());
        self.idle = self.idle.min(self.free.len());
        Some(low)
    }

    /// One slot more than the `slots` there are. Nothing is allocated.
    fn cut(&mut self, key: Key, slots: usize) -> Result<(), Failure> {
        let size = key.size();
        // For all slots: giving one back does not allocate either.
        let (free, unused) = (slots + 1, self.unused.len() + 1);
        if self.free.capacity() < free || self.unused.capacity() < unused {
            return Err(Failure::NoRoom { free, unused });
        }
        if self.uncut.0 == self.uncut.1 {
            let largest = (LARGEST_SLAB / size).max(1);
            let wanted = (FIRST_SLAB / size).max(slots).clamp(1, largest);
            self.uncut = slab::map(size, wanted)?;
        }
        let low = self.uncut.0;
        if key.with_block && !own::admits(low) {
            return Err(Failure::NoThreadId);
        }
        // SAFETY: the low end of a slot in our slab that nobody has had yet.
        unsafe { guard::install(low) }.map_err(Failure::NoGuard)?;
        slab::note_cut(low);
        checker::is_stack(low + GUARD, low + size);
        self.uncut.0 += size;
        self.unused.push(low);
        Ok(())
    }
}
