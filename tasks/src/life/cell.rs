//! A task's one allocation. The header is in front. Behind it lies the closure, until it runs; then the result lies in
//! the same place.

#![allow(unsafe_code)]

use std::alloc::Layout;
use std::any::Any;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::thread;

use super::end::let_go;
use super::group::failed;
use super::report::{__rust_begin_short_backtrace, report};
use crate::task::{Header, Member, Membership, Memory, Size, Vtable};
use crate::util::foreign::drop_quietly;
use crate::worker::WorkerLocal;

/// See the module.
#[repr(C)]
pub(crate) struct TaskCell<T, F, M> {
    header: Header,
    membership: M,
    content: UnsafeCell<Content<T, F>>,
}

union Content<T, F> {
    closure: ManuallyDrop<F>,
    result: ManuallyDrop<Option<thread::Result<T>>>,
}

impl<T, F: FnOnce() -> T, M: Membership> TaskCell<T, F, M> {
    pub(crate) const VTABLE: Vtable = Vtable {
        run: Self::run,
        drop_closure: Self::drop_closure,
        refuse: Self::refuse,
        result: Self::result,
        drop_result: Self::drop_result,
        member: if M::IS_MEMBER { Some(Self::member) } else { None },
        free: Self::free,
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
        membership: M,
    ) -> NonNull<Header> {
        assert!(memory.is_of(Self::SIZE));
        let cell = memory.into_place().cast::<Self>();
        header(cell.as_ptr().cast(), &Self::VTABLE);
        // SAFETY: memory of this size that is ours.
        unsafe {
            Self::content(cell.cast()).write(Content { closure: ManuallyDrop::new(f) });
            (&raw mut (*cell.as_ptr()).membership).write(membership);
        }
        cell.cast()
    }

    fn content(cell: NonNull<Header>) -> *mut Content<T, F> {
        // SAFETY: the header is the first field of this cell, which is alive.
        unsafe { UnsafeCell::raw_get(&raw const (*cell.cast::<Self>().as_ptr()).content) }
    }

    /// # Safety
    /// The cell is alive as long as this is used.
    unsafe fn membership<'a>(cell: NonNull<Header>) -> &'a M {
        // SAFETY: the caller's promise; the header is the first field of this cell, and this is written once.
        unsafe { &(*cell.cast::<Self>().as_ptr()).membership }
    }

    unsafe fn member(cell: NonNull<Header>) -> NonNull<()> {
        // SAFETY: as the table says.
        NonNull::<Member>::from(unsafe { Self::membership(cell) }.member().expect("the table says so")).cast()
    }

    unsafe fn run(cell: NonNull<Header>) {
        // SAFETY: the runner's reference keeps the cell. The closure is there, as this is called once; until
        // `settle` the place is ours alone, and afterwards we use it only if `settle` gives it back to us.
        unsafe {
            let header = cell.as_ref();
            let content = Self::content(cell);
            let f = ManuallyDrop::take(&mut (*content).closure);
            let result = catch_unwind(AssertUnwindSafe(|| __rust_begin_short_backtrace(f)));
            if let Err(payload) = &result {
                report(header, payload.as_ref());
                Self::membership(cell).member().into_iter().for_each(|member| failed(member, true));
            }
            (&raw mut (*content).result).write(ManuallyDrop::new(Some(result)));
            if header.join.settle() {
                Self::drop_result(cell);
            }
            if !header.has_thread_locals() {
                header.continuation.locals.clear();
            }
        }
    }

    unsafe fn drop_closure(cell: NonNull<Header>) {
        // SAFETY: it has not run, and never will.
        unsafe { ManuallyDrop::drop(&mut (*Self::content(cell)).closure) };
    }

    unsafe fn refuse(cell: NonNull<Header>, why: Box<dyn Any + Send>) {
        // SAFETY: nothing lies in the place any more, which is ours until the task is settled.
        unsafe {
            (&raw mut (*Self::content(cell)).result).write(ManuallyDrop::new(Some(Err(why))));
            Self::membership(cell).member().into_iter().for_each(|member| failed(member, false));
        }
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
            let membership = (&raw const (*cell.cast::<Self>().as_ptr()).membership).read();
            let memory = Memory::from_place(Self::SIZE, cell.cast());
            // A worker keeps both for the next task; what is left is dropped outside of the worker's stock.
            let (reference, memory) = WorkerLocal::here(|local| match local {
                Some(local) => (local.keep_reference(scheduler), local.cells.give(memory)),
                None => (Some(scheduler), Some(memory)),
            });
            drop((memory, membership));
            reference.into_iter().for_each(let_go);
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
