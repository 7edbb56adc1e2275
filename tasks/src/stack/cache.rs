//! What a worker keeps for itself, so that tasks which come and go on it touch nothing that other workers write:
//!
//! * the slot of the task that ended last, still warm;
//! * promises of slots, which the end of one task leaves to the next spawn.
//!
//! It keeps one size of slots at a time, that of the task that was spawned, or ended, last. All of it is the worker's alone. The number
//! of promises is an atomic only so that others can count it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::class::Key;
use crate::util::lock::Mutex;
use crate::util::room::lock_with_room;

/// A worker gives promises back above `MOST` and fetches `FEW` at a time, or one promise would go back and forth.
const MOST: usize = 32;
const FEW: usize = 16;

/// See the module. One promise more than the tasks' belongs to the kept slot, so that those who
/// were promised one never need it.
pub(crate) struct StackCache {
    /// What is kept; `None` at first.
    key: Cell<Option<Key>>,
    /// The low end of a slot; 0 if there is none.
    slot: Cell<usize>,
    promises: Arc<Promises>,
}

/// How many, times 128, with the class they are of.
#[derive(Default)]
struct Promises(AtomicUsize);

static ALL: Mutex<Vec<Arc<Promises>>> = Mutex::new(Vec::new());

impl Promises {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed) >> 7
    }

    fn set(&self, count: usize, key: Key) {
        self.0.store(count << 7 | tag(key), Ordering::Relaxed);
    }
}

fn tag(key: Key) -> usize {
    usize::from(key.class) | usize::from(key.with_block) << 6
}

impl StackCache {
    /// For the calling thread, which is becoming a worker.
    pub(crate) fn new() -> StackCache {
        let promises = Arc::<Promises>::default();
        let listed = promises.clone();
        lock_with_room(&ALL, |all| all).push(listed);
        StackCache { key: Cell::new(None), slot: Cell::new(0), promises }
    }

    /// A promise of a slot of class `wanted`, if there is one here or some can be had in advance.
    #[inline]
    pub(super) fn promise(&self, wanted: Key) -> bool {
        if self.key.get() != Some(wanted) && !self.change_to(wanted) {
            return false;
        }
        let count = self.promises.count();
        // (The last one is the kept slot's.)
        if count < 2 {
            return self.fetch(wanted);
        }
        self.promises.set(count - 1, wanted);
        true
    }

    #[cold]
    fn fetch(&self, wanted: Key) -> bool {
        // If there is no room for so many there may be for one.
        if wanted.class().promise(FEW, wanted).is_err() {
            return false;
        }
        // One of them is the caller's. (That may have called an allocator, and that have spawned a task: then all is different.)
        if self.key.get() == Some(wanted) {
            self.promises.set(self.promises.count() + FEW - 1, wanted);
        } else {
            wanted.class().take_back(FEW - 1);
        }
        true
    }

    /// Keeps what is of class `key` from now on. Not while there is something else.
    #[cold]
    fn change_to(&self, key: Key) -> bool {
        if self.key.get().is_some() && (self.promises.count() > 1 || self.slot.get() != 0) {
            return false;
        }
        self.empty();
        if key.class().promise(1, key).is_err() {
            return false;
        }
        if let Some(other) = self.key.get() {
            // (As above.)
            key.class().take_back(1);
            return other == key;
        }
        self.key.set(Some(key));
        self.promises.set(1, key);
        true
    }

    /// A slot of class `wanted`, if there is one here.
    #[inline]
    pub(super) fn take(&self, wanted: Key) -> Option<usize> {
        if self.slot.get() == 0 || self.key.get() != Some(wanted) {
            return None;
        }
        Some(self.slot.replace(0))
    }

    /// A task has ended: its slot, and what it was promised. False if they are not kept.
    #[inline]
    pub(super) fn give(&self, low: usize, of: Key) -> bool {
        if self.key.get() != Some(of) {
            // What is kept is of no use any more.
            self.empty();
            if !self.change_to(of) {
                return false;
            }
        }
        let before = self.slot.replace(low);
        if before != 0 {
            // The one that has lain here is the colder one.
            of.class().give(before);
        }
        let mut count = self.promises.count() + 1;
        if count > MOST {
            of.class().take_back(FEW);
            count -= FEW;
        }
        self.promises.set(count, of);
        true
    }

    /// The worker goes to sleep: its slot may be needed elsewhere, or its memory returned.
    #[inline]
    pub(crate) fn give_slot_back(&self) {
        if let (Some(key), low @ 1..) = (self.key.get(), self.slot.replace(0)) {
            key.class().give(low);
        }
    }

    fn empty(&self) {
        self.give_slot_back();
        if let Some(key) = self.key.take() {
            key.class().take_back(self.promises.count());
            self.promises.set(0, key);
        }
    }
}

impl Drop for StackCache {
    fn drop(&mut self) {
        self.empty();
        let mut all = ALL.lock();
        let place = all.iter().position(|promises| Arc::ptr_eq(promises, &self.promises));
        let listed = place.map(|place| all.swap_remove(place));
        // (In this order: to free it is an allocator's business.)
        drop(all);
        drop(listed);
    }
}

/// So many promises of class `of` are held by workers, not by tasks.
pub(super) fn promises(of: Key) -> usize {
    let all = ALL.lock();
    all.iter().filter(|held| held.0.load(Ordering::Relaxed) & 127 == tag(of)).map(|held| held.count()).sum()
}
