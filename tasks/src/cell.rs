//! A task's one allocation: the header in front; behind it the closure, until it runs, and then in the
//! same place the result. A worker keeps the memory of tasks that are gone for the next ones ([`Spare`]).

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::thread;

use crate::coroutine;
use crate::header::Header;
use crate::quiet::drop_quietly;
use crate::scheduler;
use crate::worker::WorkerLocal;

/// What depends on the types of the closure and of its result.
pub(crate) struct Vtable {
    /// Runs the closure, on the task, and leaves its result. Nothing unwinds out of here. Called once, by the
    /// task's runner.
    pub(crate) run: unsafe fn(NonNull<Header>),
    /// Drops the closure of a task that will never run.
    pub(crate) drop_closure: unsafe fn(NonNull<Header>),
    /// Where the result lies: an `Option<thread::Result<T>>`.
    result: unsafe fn(NonNull<Header>) -> NonNull<()>,
    /// Drops the result where it lies. It must be there, and nobody else use it.
    pub(crate) drop_result: unsafe fn(NonNull<Header>),
    /// Frees the allocation.
    pub(crate) free: unsafe fn(NonNull<Header>),
    /// Whether the result is a panic, and which message it has.
    pub(crate) panic_message: unsafe fn(NonNull<Header>) -> Option<String>,
}

/// See the module.
#[repr(C)]
pub(crate) struct TaskCell<T, F> {
    header: Header,
    content: UnsafeCell<Content<T, F>>,
}

union Content<T, F> {
    closure: ManuallyDrop<F>,
    result: ManuallyDrop<Option<thread::Result<T>>>,
}

impl<T, F: FnOnce() -> T> TaskCell<T, F> {
    pub(crate) const VTABLE: Vtable = Vtable {
        run: Self::run,
        drop_closure: Self::drop_closure,
        result: Self::result,
        drop_result: Self::drop_result,
        free: Self::free,
        panic_message: Self::panic_message,
    };

    pub(crate) const SIZE: Size = Size::of(Layout::new::<Self>());

    /// Makes it in `memory` of [`SIZE`](Self::SIZE). `header` is called with the place for one and this type's table.
    ///
    /// # Safety
    /// `header` writes one there.
    #[inline(always)]
    pub(crate) unsafe fn put(
        memory: Memory,
        header: impl FnOnce(*mut Header, &'static Vtable),
        f: F,
    ) -> NonNull<Header> {
        assert!(memory.0.layout == Self::SIZE.layout);
        let cell = ManuallyDrop::new(memory).1.cast::<Self>();
        header(cell.as_ptr().cast(), &Self::VTABLE);
        // SAFETY: memory of this size that is ours.
        unsafe { Self::content(cell.cast()).write(Content { closure: ManuallyDrop::new(f) }) };
        cell.cast()
    }

    fn content(cell: NonNull<Header>) -> *mut Content<T, F> {
        // SAFETY: the header is the first field of this cell, which is alive.
        unsafe { UnsafeCell::raw_get(&raw const (*cell.cast::<Self>().as_ptr()).content) }
    }

    unsafe fn run(cell: NonNull<Header>) {
        // SAFETY: the runner's reference keeps the cell. The closure is there, as this is called once; until
        // `settle` the place is ours alone, and afterwards we use it only if `settle` gives it back to us.
        unsafe {
            let header = cell.as_ref();
            let content = Self::content(cell);
            let f = ManuallyDrop::take(&mut (*content).closure);
            let result = catch_unwind(AssertUnwindSafe(f));
            if let Err(payload) = &result {
                let message = coroutine::message_of(payload.as_ref());
                coroutine::report(header, &message, header.join.is_detached());
            }
            (&raw mut (*content).result).write(ManuallyDrop::new(Some(result)));
            if header.join.settle() {
                Self::drop_result(cell);
            }
            if !header.has_thread_locals() {
                header.own.locals.clear();
            }
        }
    }

    unsafe fn drop_closure(cell: NonNull<Header>) {
        // SAFETY: it has not run, and never will.
        unsafe { ManuallyDrop::drop(&mut (*Self::content(cell)).closure) };
    }

    unsafe fn result(cell: NonNull<Header>) -> NonNull<()> {
        // SAFETY: a field of a live cell.
        unsafe { NonNull::new_unchecked(&raw mut (*Self::content(cell)).result).cast() }
    }

    unsafe fn drop_result(cell: NonNull<Header>) {
        // SAFETY: the caller's promise is the same.
        drop_quietly(unsafe { take_result::<T>(cell) });
    }

    unsafe fn free(cell: NonNull<Header>) {
        // SAFETY: it was made by `put` and the last reference is gone. What is behind the header has been taken out,
        // and the scheduler is here.
        unsafe {
            let scheduler = ManuallyDrop::take(&mut (*cell.as_ptr()).scheduler);
            ptr::drop_in_place(cell.as_ptr());
            let memory = Memory(Self::SIZE, cell.cast());
            // A worker keeps both for the next task; what is left is dropped outside of the worker's stock.
            let (reference, memory) = WorkerLocal::here(|local| match local {
                Some(local) => (local.keep_reference(scheduler), local.cells.give(memory)),
                None => (Some(scheduler), Some(memory)),
            });
            drop(memory);
            reference.into_iter().for_each(scheduler::let_go);
        }
    }

    unsafe fn panic_message(cell: NonNull<Header>) -> Option<String> {
        // SAFETY: the result is there and nobody changes it, by the caller's word.
        match unsafe { &*(&raw const (*Self::content(cell)).result).cast::<Option<thread::Result<T>>>() } {
            Some(Err(payload)) => Some(coroutine::message_of(payload.as_ref())),
            _ => None,
        }
    }
}

/// The result of a task whose closure returns a `T`.
///
/// # Safety
/// The result is there and the caller alone may use it.
pub(crate) unsafe fn take_result<T>(cell: NonNull<Header>) -> Option<thread::Result<T>> {
    // SAFETY: as the table says; exclusive by the caller's word.
    unsafe { (cell.as_ref().vtable.result)(cell).cast::<Option<thread::Result<T>>>().as_mut().take() }
}

/// How much memory a cell takes: what is small in steps, so that a task's cell fits the next one's.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    layout: Layout,
    /// The list of spare cells; `LISTS` if there is none for it.
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
    const fn of(layout: Layout) -> Size {
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

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made in `allocate`, for this layout.
        unsafe { dealloc(self.1.as_ptr().cast(), self.0.layout) };
    }
}

/// A worker's memory of cells, by size: what was used last comes first.
pub(crate) struct Spare {
    lists: [Cell<Option<NonNull<Unused>>>; LISTS],
    bytes: Cell<usize>,
}

/// In memory that is spare.
struct Unused {
    next: Option<NonNull<Unused>>,
}

impl Spare {
    pub(crate) fn new() -> Spare {
        Spare { lists: Default::default(), bytes: Cell::new(0) }
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

impl Drop for Spare {
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
        let spare = Spare::new();
        let (first, second) = (size(300).allocate(), size(300).allocate());
        let places = [second.1, first.1];
        assert!(spare.give(first).is_none() && spare.give(second).is_none());
        let taken = [spare.take(size(300)).unwrap(), spare.take(size(300)).unwrap()];
        assert_eq!([taken[0].1, taken[1].1], places);
        assert!(spare.take(size(300)).is_none());
    }

    #[test]
    fn memory_of_another_size_is_not_taken() {
        let spare = Spare::new();
        assert!(spare.give(size(300).allocate()).is_none());
        assert!(spare.take(size(200)).is_none());
        assert!(spare.take(size(400)).is_none());
        assert!(spare.take(size(320)).is_some());
    }

    #[test]
    fn what_is_large_or_aligned_is_not_kept() {
        let spare = Spare::new();
        let page = Size::of(Layout::from_size_align(256, 4096).unwrap());
        assert!(spare.give(page.allocate()).is_some());
        assert!(spare.give(size(STEP * LISTS + 1).allocate()).is_some());
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let spare = Spare::new();
        let kept = (0..2 * MOST / 512).take_while(|_| spare.give(size(512).allocate()).is_none());
        assert_eq!(kept.count(), MOST / 512);
        spare.take(size(512)).unwrap();
        assert!(spare.give(size(512).allocate()).is_none());
    }
}
