//! Slabs: large mappings cut into stack slots of one size, and the table in which the overflow
//! handler finds the slot of an address.
//!
//! A slot, from low to high: the guard, the stack (it grows down towards the guard), and the
//! [`SlotHead`] at the top. Slabs are never unmapped; their memory is returned, their addresses
//! are kept.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::guard::GUARD;
use crate::header::Header;

/// The block at the top of each slot, beside the first frames so that it costs no page of its
/// own. What a task needs next to its stack has its place here.
#[repr(C, align(64))]
pub(crate) struct SlotHead {
    /// The task whose stack this is: read by the overflow handler.
    pub(crate) owner: AtomicPtr<Header>,
}

/// Bytes of a slot that are not stack.
pub(crate) const SLOT_HEAD: usize = size_of::<SlotHead>();

/// One slab as the signal handler sees it. `end` is written last; zero means "not there".
struct Entry {
    base: AtomicUsize,
    slot: AtomicUsize,
    end: AtomicUsize,
}

const SLABS: usize = 1024;
static TABLE: [Entry; SLABS] =
    [const { Entry { base: AtomicUsize::new(0), slot: AtomicUsize::new(0), end: AtomicUsize::new(0) } };
        SLABS];
static USED: AtomicUsize = AtomicUsize::new(0);
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

/// The slot in which `address` lies. Async-signal-safe.
pub(crate) fn find(address: usize) -> Option<Slot> {
    let used = USED.load(Ordering::Acquire).min(SLABS);
    TABLE[..used].iter().find_map(|entry| {
        let end = entry.end.load(Ordering::Acquire);
        let base = entry.base.load(Ordering::Relaxed);
        if !(base..end).contains(&address) {
            return None;
        }
        let size = entry.slot.load(Ordering::Relaxed);
        let low = base + (address - base) / size * size;
        Some(Slot { low, top: low + size })
    })
}

/// How many slabs there are and how many bytes of addresses they reserve.
pub(crate) fn reserved() -> (usize, usize) {
    (USED.load(Ordering::Relaxed).min(SLABS), RESERVED.load(Ordering::Relaxed))
}

/// Maps a slab of `slots` slots, or of fewer when that many cannot be had. Gives its range.
pub(crate) fn map(slot: usize, mut slots: usize) -> io::Result<(usize, usize)> {
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
            let why = io::Error::last_os_error();
            let what = format!("no stack for the task: cannot map {bytes} bytes: {why}");
            return Err(io::Error::new(why.kind(), what));
        }
        slots /= 2;
    };
    let index = USED.fetch_add(1, Ordering::AcqRel);
    if index >= SLABS {
        USED.fetch_sub(1, Ordering::AcqRel);
        // SAFETY: our own mapping, in which nothing is yet.
        unsafe { libc::munmap(base, bytes) };
        return Err(io::Error::new(io::ErrorKind::OutOfMemory, "no stack for the task: too many slabs"));
    }
    // Huge pages would make every touched stack resident as a whole. A kernel without them says
    // no, and that is as good.
    // SAFETY: our own new mapping.
    unsafe { libc::madvise(base, bytes, libc::MADV_NOHUGEPAGE) };
    let base = base as usize;
    let entry = &TABLE[index];
    entry.base.store(base, Ordering::Relaxed);
    entry.slot.store(slot, Ordering::Relaxed);
    entry.end.store(base + bytes, Ordering::Release);
    RESERVED.fetch_add(bytes, Ordering::Relaxed);
    Ok((base, base + bytes))
}
