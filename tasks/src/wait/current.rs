//! The task that runs here.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ops::Range;
use std::ptr::{self, NonNull};

use crate::here;
use crate::task::{Header, Task};
use crate::util::forked::forked;

/// The task on this thread; `None` also in a forked child.
#[inline]
pub(super) fn here() -> Option<NonNull<Header>> {
    if forked() { None } else { running() }
}

/// The task on this thread, also in a forked child: for what only concerns its own memory.
#[inline]
pub(crate) fn running() -> Option<NonNull<Header>> {
    NonNull::new(here::task().cast_mut().cast())
}

/// What the worker gave to [`Runnable::run_noting`](crate::Runnable::run_noting); null outside such a task.
/// Not to be kept across a suspension: the task may go on at another worker.
#[inline]
pub fn current_context() -> *const () {
    if forked() { ptr::null() } else { here::context() }
}

/// Calls `f` with the current task: `None` in a plain thread, and in a forked child.
#[inline]
pub fn with_current<R>(f: impl FnOnce(Option<&Task>) -> R) -> R {
    match here() {
        Some(header) => {
            // SAFETY: it runs here, so its runner keeps it; and it cannot end before `f`
            // returns, because `f` runs on it.
            let task = unsafe { Task::borrow(header) };
            f(Some(&task))
        }
        None => f(None),
    }
}

/// As [`with_current`]; but in [`on_thread`](crate::on_thread) with the task that has called that. It goes on when the caller does.
#[inline]
pub(super) fn with_caller<R>(f: impl FnOnce(Option<&Task>) -> R) -> R {
    match caller() {
        Some(header) => {
            // SAFETY: as in `with_current`: it has called the caller.
            let task = unsafe { Task::borrow(header) };
            f(Some(&task))
        }
        None => f(None),
    }
}

#[inline]
fn caller() -> Option<NonNull<Header>> {
    if forked() { None } else { running_caller() }
}

/// As [`caller`], also in a forked child: for what only concerns its own memory.
#[inline]
fn running_caller() -> Option<NonNull<Header>> {
    running().or_else(|| NonNull::new(here::stepped_out().cast_mut().cast()))
}

impl Task {
    /// It runs on this thread. Also in a child that it has forked, where nothing is a task any more, but its frames are there.
    #[doc(hidden)]
    pub fn runs_here(&self) -> bool {
        running() == Some(self.raw())
    }
}

/// Whether the caller is in [`on_thread`](crate::on_thread) of a task, which goes on when the caller does. False in a forked child.
pub fn is_on_thread_of_task() -> bool {
    !forked() && !here::stepped_out().is_null()
}

/// The current task; `None` in a plain thread, and in a forked child.
///
/// ```
/// assert!(ec_tasks::current().is_none(), "a plain thread is no task");
/// ```
pub fn current() -> Option<Task> {
    with_current(|task| task.cloned())
}

/// Calls `f` with the one pointer that each task, and each plain thread, has for the deadline
/// scope it is in; null at first. In [`on_thread`](crate::on_thread) that of the task is the thread's, too; and in a forked child that of the
/// task is the thread's that has forked in it, which goes on in the same frames.
///
/// # Safety
/// `f` does not suspend. The pointer has one owner in the process, who reads and writes it here
/// and may follow it: whoever else calls this leaves it as it is.
pub unsafe fn with_scope_cell<R>(f: impl FnOnce(&Cell<*const ()>) -> R) -> R {
    match running_caller() {
        // SAFETY: as in `with_current`; only the task uses the cell, and where it has stepped out to it does not go on meanwhile. In a child
        // the task's memory is as it was, with nobody else to use it, until the child ends.
        Some(header) => f(unsafe { &header.as_ref().continuation.scope }),
        None => {
            // Read apart and written back: `f` is not to be inlined into the access.
            let cell = Cell::new(here::scope_of_thread());
            let result = f(&cell);
            here::set_scope_of_thread(cell.get());
            result
        }
    }
}

/// True: no cancel waits to be delivered here, and the caller is in no scope (that cell is null).
#[doc(hidden)]
#[inline]
pub fn is_left_alone() -> bool {
    let Some(header) = running_caller() else { return here::scope_of_thread().is_null() };
    // SAFETY: as in `with_scope_cell`.
    let header = unsafe { header.as_ref() };
    // (In a child it is no task that could be cancelled.)
    header.continuation.scope.get().is_null() && (!header.cancel.is_pending() || forked())
}

/// The addresses of the stack that the current task was given (or the one that has called [`on_thread`](crate::on_thread), which stays on
/// it), or the plain thread; `None` if the system does not tell. Code that runs on another stack is a coroutine's of somebody else. (A
/// child that was forked in a task goes on on the task's stack.)
#[inline]
pub fn own_stack() -> Option<Range<usize>> {
    // SAFETY: as in `with_current`. In a child what is known of the task is as it was, and the child ends when the task's function returns.
    let stack = running_caller().and_then(|header| unsafe { header.as_ref() }.stack());
    stack.map(|(low, high)| low..high).or_else(crate::stack::of_thread)
}
