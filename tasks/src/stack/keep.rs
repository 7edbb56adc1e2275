//! What a worker keeps for itself, so that tasks which come and go on it touch nothing that other workers
//! write: the slot of the task that ended last, still warm, and promises of slots, which the end of one task
//! leaves to the next spawn.
//!
//! One size of slots at a time, that of the task that ended last. The worker writes; a slot kept may be taken away
//! by whoever finds none elsewhere, so it lies in an atomic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;
use parking_lot::Mutex;

use super::class::Key;

/// A worker gives promises back above `MOST` and fetches `FEW` at a time, or one promise would go back and forth.
const MOST: usize = 64;
const FEW: usize = 32;

/// See the module.
pub(crate) struct Keep(Arc<CachePadded<Kept>>);

/// A class in the low bits of a word; slots are aligned to 4 KiB at least.
const WITH_BLOCK: usize = 1 << 6;
const CLASS: usize = WITH_BLOCK | (WITH_BLOCK - 1);

#[derive(Default)]
struct Kept {
    /// The low end of a slot with its class; 0 if there is none.
    slot: AtomicUsize,
    /// Promises, times 128, with their class. Written by the worker alone.
    promises: AtomicUsize,
}

static ALL: Mutex<Vec<Arc<CachePadded<Kept>>>> = Mutex::new(Vec::new());

fn tag(key: Key) -> usize {
    usize::from(key.class) | if key.with_block { WITH_BLOCK } else { 0 }
}

fn key(word: usize) -> Key {
    Key { class: (word & (WITH_BLOCK - 1)) as u8, with_block: word & WITH_BLOCK != 0 }
}

impl Keep {
    /// For the calling thread, which is becoming a worker.
    pub(crate) fn new() -> Keep {
        let kept = Arc::new(CachePadded::new(Kept::default()));
        ALL.lock().push(kept.clone());
        Keep(kept)
    }

    /// A promise of a slot of class `key`, if there is one here or some can be had in advance.
    pub(super) fn promise(&self, wanted: Key) -> bool {
        let word = self.0.promises.load(Ordering::Relaxed);
        if word >> 7 == 0 {
            return self.fetch(wanted);
        }
        let fits = word & CLASS == tag(wanted);
        if fits {
            self.0.promises.store(word - (1 << 7), Ordering::Relaxed);
        }
        fits
    }

    /// Promises in advance, and one of them at once. (If there is no room for so many there may be for one.)
    #[cold]
    fn fetch(&self, wanted: Key) -> bool {
        if wanted.class().promise(FEW, wanted).is_err() {
            return false;
        }
        self.0.promises.store((FEW - 1) << 7 | tag(wanted), Ordering::Relaxed);
        true
    }

    /// A slot of class `wanted`, if there is one here.
    pub(super) fn take(&self, wanted: Key) -> Option<usize> {
        self.0.take(wanted)
    }

    /// A task has ended: its slot, and what it was promised.
    pub(super) fn give(&self, low: usize, of: Key) {
        let word = self.0.promises.load(Ordering::Relaxed);
        if word & CLASS != tag(of) {
            self.empty();
            self.0.promises.store(tag(of), Ordering::Relaxed);
        }
        let before = self.0.slot.swap(low | tag(of), Ordering::AcqRel);
        if before != 0 {
            // The one that has lain here is the colder one.
            key(before).class().give(before & !CLASS);
        }
        let mut promises = (self.0.promises.load(Ordering::Relaxed) >> 7) + 1;
        if promises > MOST {
            of.class().take_back(FEW);
            promises -= FEW;
        }
        self.0.promises.store(promises << 7 | tag(of), Ordering::Relaxed);
    }

    fn empty(&self) {
        let slot = self.0.slot.swap(0, Ordering::AcqRel);
        if slot != 0 {
            key(slot).class().give(slot & !CLASS);
        }
        let word = self.0.promises.swap(0, Ordering::Relaxed);
        if word >> 7 != 0 {
            key(word).class().take_back(word >> 7);
        }
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        self.empty();
        ALL.lock().retain(|kept| !Arc::ptr_eq(kept, &self.0));
    }
}

impl Kept {
    fn take(&self, wanted: Key) -> Option<usize> {
        let word = self.slot.load(Ordering::Relaxed);
        if word == 0 || word & CLASS != tag(wanted) {
            return None;
        }
        // Whoever exchanges it for nothing has it.
        self.slot
            .compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed)
            .ok()
            .map(|word| word & !CLASS)
    }
}

/// For somebody who was promised a slot of class `wanted` and finds none in its list.
#[cold]
pub(super) fn take_from_any(wanted: Key) -> Option<usize> {
    ALL.lock().iter().find_map(|kept| kept.take(wanted))
}

/// Everything that workers keep goes into the lists, where unneeded memory is looked for.
pub(super) fn give_slots_back() {
    for kept in ALL.lock().iter() {
        let word = kept.slot.swap(0, Ordering::AcqRel);
        if word != 0 {
            key(word).class().give(word & !CLASS);
        }
    }
}

/// So many promises of class `of` are held by workers, not by tasks.
pub(super) fn promises(of: Key) -> usize {
    let words = ALL.lock();
    words
        .iter()
        .map(|kept| kept.promises.load(Ordering::Relaxed))
        .filter(|word| word & CLASS == tag(of))
        .map(|word| word >> 7)
        .sum()
}
