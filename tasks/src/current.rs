//! The task that runs here, and how it waits.
//!
//! The thread-local that says which task a thread runs is read and written only in functions
//! that are never inlined and contain no suspension: the compiler keeps the address of a
//! thread-local in a register, and a task may wake up on another thread.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use crate::coroutine;
use crate::fork::forked;
use crate::header::{Header, Task};
use crate::spawn::Kind;
use crate::tokens::Tokens;

struct Here {
    task: Cell<*const Header>,
    context: Cell<*const ()>,
    /// The scope cell of a plain thread.
    scope: Cell<*const ()>,
}

thread_local! {
    static HERE: Here = const {
        Here { task: Cell::new(ptr::null()), context: Cell::new(ptr::null()), scope: Cell::new(ptr::null()) }
    };
}

/// This thread runs `task` from now on.
#[inline(never)]
pub(crate) fn enter(task: *const Header, context: *const ()) {
    HERE.with(|here| {
        assert!(here.task.get().is_null(), "a task cannot be run from within a task");
        here.task.set(task);
        here.context.set(context);
    });
}

/// This thread runs no task any more.
#[inline(never)]
pub(crate) fn leave() {
    HERE.with(|here| {
        here.task.set(ptr::null());
        here.context.set(ptr::null());
    });
}

#[inline(never)]
fn here() -> Option<NonNull<Header>> {
    if forked() { None } else { HERE.with(|here| NonNull::new(here.task.get().cast_mut())) }
}

/// The task on this thread, also in a forked child: for what only concerns its own memory.
#[inline(never)]
pub(crate) fn running() -> Option<NonNull<Header>> {
    HERE.with(|here| NonNull::new(here.task.get().cast_mut()))
}

/// What the worker gave to [`Runnable::run`](crate::Runnable::run); null outside such a task.
/// Not to be kept across a suspension: the task may go on at another worker.
#[inline(never)]
pub fn current_context() -> *const () {
    if forked() { ptr::null() } else { HERE.with(|here| here.context.get()) }
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

/// The current task; `None` in a plain thread, and in a forked child.
///
/// ```
/// assert!(ec_tasks::current().is_none(), "a plain thread is no task");
/// ```
pub fn current() -> Option<Task> {
    with_current(|task| task.cloned())
}

/// Calls `f` with the one pointer that each task, and each plain thread, has for the deadline
/// scope it is in; null at first.
///
/// # Safety
/// `f` does not suspend. The pointer has one owner in the process, who reads and writes it here
/// and may follow it: whoever else calls this leaves it as it is.
pub unsafe fn with_scope_cell<R>(f: impl FnOnce(&Cell<*const ()>) -> R) -> R {
    match here() {
        // SAFETY: as in `with_current`; only the task uses the cell.
        Some(header) => f(unsafe { &header.as_ref().own.scope }),
        None => {
            // Read apart and written back: `f` is not to be inlined into the access.
            let cell = Cell::new(thread_scope());
            let result = f(&cell);
            set_thread_scope(cell.get());
            result
        }
    }
}

#[inline(never)]
fn thread_scope() -> *const () {
    HERE.with(|here| here.scope.get())
}

#[inline(never)]
fn set_thread_scope(scope: *const ()) {
    HERE.with(|here| here.scope.set(scope));
}

/// Suspends the current task until a token of `accept` is there, takes those that are, and
/// returns them. A dedicated task blocks its thread instead. A token that is there already makes
/// it return at once.
///
/// # Panics
/// Outside a task, in a forked child, and with nothing to wait for.
#[inline]
pub fn suspend(accept: Tokens) -> Tokens {
    assert!(!accept.is_empty(), "a wait for nothing would never end");
    let header = here().expect("only a task can be suspended");
    // SAFETY: the task that runs here; it is kept as long as it runs, and this is its own stack.
    let header = unsafe { header.as_ref() };
    loop {
        let taken = header.word.take(accept.bits());
        if taken != 0 {
            return Tokens::from_bits(taken);
        }
        if header.kind == Kind::Dedicated {
            crate::dedicated::block(header, accept);
        } else {
            // SAFETY: a lean task, which runs here.
            unsafe { coroutine::switch_out(header, accept.bits()) };
        }
    }
}

/// Lets other tasks run. In a plain thread and a dedicated task: the system's yield.
#[inline]
pub fn yield_now() {
    match here() {
        // SAFETY: the task that runs here.
        Some(header) if unsafe { header.as_ref() }.kind == Kind::Lean => {
            // SAFETY: it is a lean one. Zero: not a wait.
            unsafe { coroutine::switch_out(header.as_ref(), 0) };
        }
        _ => std::thread::yield_now(),
    }
}

/// Waits until somebody calls [`Task::unpark`] (or has since the last `park`). In a plain thread
/// this is [`std::thread::park`].
pub fn park() {
    if here().is_some() {
        suspend(Tokens::PARK);
    } else {
        std::thread::park();
    }
}
