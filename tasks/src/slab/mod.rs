//! Slabs: large mappings cut into stack slots of one size, and the table in which the overflow
//! handler finds the slot of an address.
//!
//! ```text
//!   low                                        top
//!    | guard | stack  ...  <- sp | block | head |
//! ```
//! The stack grows down towards the guard. The block holds a task's own thread-locals; slots for other tasks have none.
//! The head is the [`SlotHead`].
//!
//! Slabs are never unmapped. Their memory is returned; their addresses are kept.

#![allow(unsafe_code)]

pub(crate) mod failure;
pub(crate) mod guard;

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use failure::Failure;
use guard::GUARD;

/// The block at the top of each slot, beside the first frames so that it costs no page of its
/// own. What a task needs next to its stack has its place here.
#[repr(C, align(64))]
pub(crate) struct SlotHead {
    /// The task whose stack this is (its header): read by the overflow handler.
    pub(crate) owner: AtomicPtr<()>,
    /// What the block of thread-locals in this slot has outside of it.
    pub(crate) block: BlockHead,
}

/// See `own/block.rs`. All zero in a slot that was never used or whose memory was returned.
#[derive(Default)]
pub(crate) struct BlockHead {
    /// The thread pointer, while a task may use the block; else 0.
    pub(crate) live: AtomicUsize,
    /// The dynamic thread vector that is kept for the next task; 0 if there is none.
    pub(crate) dtv: AtomicUsize,
    /// The thread id of the last task; 0 if there was none.
    pub(crate) tid: AtomicUsize,
}

/// Bytes of a slot that are not stack.
pub(crate) const SLOT_HEAD: usize = size_of::<SlotHead>();

/// One slab as the signal handler sees it. `end` is written last; zero means "not there".
struct Slab {
    base: AtomicUsize,
    slot: AtomicUsize,
    end: AtomicUsize,
    /// The number of the first slot: slots are numbered through all slabs.
    first: AtomicUsize,
    /// Up to here slots have been given out.
    cut: AtomicUsize,
}

const SLABS: usize = 1024;
static TABLE: [Slab; SLABS] = [const {
    Slab {
        base: AtomicUsize::new(0),
        slot: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        first: AtomicUsize::new(0),
        cut: AtomicUsize::new(0),
    }
}; SLABS];
static USED: AtomicUsize = AtomicUsize::new(0);
static SLOTS: AtomicUsize = AtomicUsize::new(0);
static RESERVED: AtomicUsize = AtomicUsize::new(0);

/// A slot found by an address in it.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) low: usize,
    pub(crate) top: usize,
}

impl Slot {
    /// Whether `address` lies in the guard.
    pub(crate) fn in_guard(&self, address: usize) -> bool {
        (self.low..self.low + GUARD).contains(&address)
    }

    /// Whether `address` lies in the slot.
    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.low..self.top).contains(&address)
    }

    /// The block at the top.
    pub(crate) fn head(&self) -> *const SlotHead {
        (self.top - SLOT_HEAD) as *const SlotHead
    }
}

fn slabs() -> &'static [Slab] {
    &TABLE[..USED.load(Ordering::Acquire).min(SLABS)]
}

impl Slab {
    /// Which of its slots `address` lies in, and the size of each.
    fn index_of(&self, address: usize) -> Option<(usize, usize)> {
        let end = self.end.load(Ordering::Acquire);
        let base = self.base.load(Ordering::Relaxed);
        let size = self.slot.load(Ordering::Relaxed);
        (base..end).contains(&address).then(|| ((address - base) / size, size))
    }

    fn slot(&self, index: usize, size: usize) -> Slot {
        let low = self.base.load(Ordering::Relaxed) + index * size;
        Slot { low, top: low + size }
    }
}

/// The slot in which `address` lies. Async-signal-safe.
pub(crate) fn find(address: usize) -> Option<Slot> {
    slabs().iter().find_map(|slab| slab.index_of(address).map(|(index, size)| slab.slot(index, size)))
}

/// The slot that begins at `low` has been given out for the first time.
pub(crate) fn note_cut(low: usize) {
    for slab in slabs() {
        if let Some((_, size)) = slab.index_of(low) {
            slab.cut.fetch_max(low + size, Ordering::AcqRel);
        }
    }
}

/// The number of the slot that begins at `low`: no other slot in the process has it.
pub(crate) fn number(low: usize) -> usize {
    slabs()
        .iter()
        .find_map(|slab| slab.index_of(low).map(|(index, _)| slab.first.load(Ordering::Relaxed) + index))
        .expect("a slot lies in a slab")
}

/// Every slot that was ever given out.
pub(crate) fn all_cut() -> impl Iterator<Item = Slot> {
    slabs().iter().flat_map(|slab| {
        // First: a slab that has been cut from is complete.
        let cut = slab.cut.load(Ordering::Acquire);
        let base = slab.base.load(Ordering::Relaxed);
        let size = slab.slot.load(Ordering::Relaxed).max(1);
        (0..cut.saturating_sub(base) / size).map(move |index| slab.slot(index, size))
    })
}

/// How many slabs there are and how many bytes of addresses they reserve.
pub(crate) fn reserved() -> (usize, usize) {
    (USED.load(Ordering::Relaxed).min(SLABS), RESERVED.load(Ordering::Relaxed))
}

/// Maps a slab of `slots` slots, or of fewer when that many cannot be had. Gives its range.
pub(crate) fn map(slot: usize, mut slots: usize) -> Result<(usize, usize), Failure> {
    let (base, bytes) = loop {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let bytes = slot * slots;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if base != libc::MAP_FAILED {
            break (base, bytes);
        }
        if slots == 1 {
            return Err(Failure::NoMapping { bytes, why: io::Error::last_os_error() });
        }
        slots /= 2;
    };
    let index = USED.fetch_add(1, Ordering::AcqRel);
    if index >= SLABS {
        USED.fetch_sub(1, Ordering::AcqRel);
        // SAFETY: our own mapping, in which nothing is yet.
        unsafe { libc::munmap(base, bytes) };
        return Err(Failure::TooManySlabs);
    }
    // Huge pages would make every touched stack resident as a whole. A kernel without them says
    // no, and that is as good.
    // SAFETY: our own new mapping.
    unsafe { libc::madvise(base, bytes, libc::MADV_NOHUGEPAGE) };
    let base = base as usize;
    let entry = &TABLE[index];
    entry.base.store(base, Ordering::Relaxed);
    entry.slot.store(slot, Ordering::Relaxed);
    entry.first.store(SLOTS.fetch_add(bytes / slot, Ordering::Relaxed), Ordering::Relaxed);
    entry.end.store(base + bytes, Ordering::Release);
    RESERVED.fetch_add(bytes, Ordering::Relaxed);
    Ok((base, base + bytes))
}
