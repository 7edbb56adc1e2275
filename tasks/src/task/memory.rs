//! The memory of tasks. A worker keeps the memory of tasks that are gone, for the next ones ([`MemoryCache`]).

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// How much memory a cell takes: what is small in steps, so that a task's cell fits the next one's.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    layout: Layout,
    /// The list of kept memory; `LISTS` if there is none for it.
    list: usize,
}

const STEP: usize = 64;
/// Up to this number of steps cells are kept.
const LISTS: usize = 8;
/// Of any allocator without asking.
const ALIGN: usize = 16;
/// What a worker keeps at most, in bytes.
const MOST: usize = 384 * 1024;

impl Size {
    pub(crate) const fn of(layout: Layout) -> Size {
        let steps = layout.size().div_ceil(STEP);
        if steps <= LISTS
            && layout.align() <= ALIGN
            && let Ok(layout) = Layout::from_size_align(steps * STEP, ALIGN)
        {
            return Size { layout, list: steps - 1 };
        }
        Size { layout, list: LISTS }
    }

    /// New memory of this size.
    pub(crate) fn allocate(self) -> Memory {
        // SAFETY: a header is in it, so it is not of size zero.
        match NonNull::new(unsafe { alloc(self.layout) }) {
            Some(place) => Memory(self, place.cast()),
            None => handle_alloc_error(self.layout),
        }
    }
}

/// Memory for a cell, with nothing in it.
pub(crate) struct Memory(Size, NonNull<()>);

impl Memory {
    /// Is it of this size?
    pub(crate) fn is_of(&self, size: Size) -> bool {
        self.0.layout == size.layout
    }

    /// The place. Who has it gives it back by [`from_place`](Memory::from_place).
    #[inline(always)]
    pub(crate) fn into_place(self) -> NonNull<()> {
        ManuallyDrop::new(self).1
    }

    /// # Safety
    /// `place` came from `into_place`, is of this size, and nothing is in it any more.
    #[inline]
    pub(crate) unsafe fn from_place(size: Size, place: NonNull<()>) -> Memory {
        Memory(size, place)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made in `allocate`, for this layout.
        unsafe { dealloc(self.1.as_ptr().cast(), self.0.layout) };
    }
}

/// A worker's memory of cells, by size: what was used last comes first.
pub(crate) struct MemoryCache {
    lists: [Cell<Option<NonNull<Unused>>>; LISTS],
    bytes: Cell<usize>,
}

/// In memory that is kept.
struct Unused {
    next: Option<NonNull<Unused>>,
}

impl MemoryCache {
    pub(crate) fn new() -> MemoryCache {
        MemoryCache { lists: Default::default(), bytes: Cell::new(0) }
    }

    /// Memory of this size, if there is some.
    #[inline]
    pub(crate) fn take(&self, size: Size) -> Option<Memory> {
        let list = self.lists.get(size.list)?;
        let first = list.get()?;
        // SAFETY: what is in the list was put there by `give` and is ours.
        list.set(unsafe { first.as_ref() }.next);
        self.bytes.set(self.bytes.get() - size.layout.size());
        Some(Memory(size, first.cast()))
    }

    /// Takes it into the stock; gives it back if there is enough.
    #[inline]
    pub(crate) fn give(&self, memory: Memory) -> Option<Memory> {
        let Memory(size, place) = memory;
        let bytes = self.bytes.get() + size.layout.size();
        let Some(list) = self.lists.get(size.list).filter(|_| bytes <= MOST) else { return Some(memory) };
        let _ = ManuallyDrop::new(memory);
        // SAFETY: memory that is ours, large enough, with nothing in it.
        unsafe { place.cast().write(Unused { next: list.get() }) };
        list.set(Some(place.cast()));
        self.bytes.set(bytes);
        None
    }
}

impl Drop for MemoryCache {
    fn drop(&mut self) {
        for steps in 1..=LISTS {
            let Ok(layout) = Layout::from_size_align(steps * STEP, ALIGN) else { continue };
            while let Some(memory) = self.take(Size::of(layout)) {
                drop(memory);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(bytes: usize) -> Size {
        Size::of(Layout::from_size_align(bytes, 8).unwrap())
    }

    #[test]
    fn what_was_used_last_is_used_first() {
        let cache = MemoryCache::new();
        let (first, second) = (size(300).allocate(), size(300).allocate());
        let places = [second.1, first.1];
        assert!(cache.give(first).is_none() && cache.give(second).is_none());
        let taken = [cache.take(size(300)).unwrap(), cache.take(size(300)).unwrap()];
        assert_eq!([taken[0].1, taken[1].1], places);
        assert!(cache.take(size(300)).is_none());
    }

    #[test]
    fn memory_of_another_size_is_not_taken() {
        let cache = MemoryCache::new();
        assert!(cache.give(size(300).allocate()).is_none());
        assert!(cache.take(size(200)).is_none());
        assert!(cache.take(size(400)).is_none());
        assert!(cache.take(size(320)).is_some());
    }

    #[test]
    fn what_is_large_or_aligned_is_not_kept() {
        let cache = MemoryCache::new();
        let page = Size::of(Layout::from_size_align(256, 4096).unwrap());
        assert!(cache.give(page.allocate()).is_some());
        assert!(cache.give(size(STEP * LISTS + 1).allocate()).is_some());
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let cache = MemoryCache::new();
        let kept = (0..2 * MOST / 512).take_while(|_| cache.give(size(512).allocate()).is_none());
        assert_eq!(kept.count(), MOST / 512);
        cache.take(size(512)).unwrap();
        assert!(cache.give(size(512).allocate()).is_none());
    }
}
