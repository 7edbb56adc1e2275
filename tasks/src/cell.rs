//! A task's one allocation: the header in front; behind it the closure, until it runs, and then in the
//! same place the result.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::thread;

use crate::coroutine;
use crate::header::Header;
use crate::quiet::drop_quietly;

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

    /// Allocates it. `header` has this type's table.
    #[inline(always)]
    pub(crate) fn allocate(header: Header, f: F) -> NonNull<Header> {
        let content = UnsafeCell::new(Content::<T, F> { closure: ManuallyDrop::new(f) });
        let cell = Box::write(Box::new_uninit(), TaskCell { header, content });
        NonNull::from(Box::leak(cell)).cast()
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
            header.own.locals.clear();
            (&raw mut (*content).result).write(ManuallyDrop::new(Some(result)));
            if header.join.settle() {
                Self::drop_result(cell);
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
        // SAFETY: it came from a Box of this type and the last reference is gone. What is behind the header has been
        // taken out.
        drop(unsafe { Box::from_raw(cell.cast::<Self>().as_ptr()) });
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
