//! The glue over corosensei: a task's body on its own stack, the switch into it and out of it.
//!
//! A coroutine is never dropped while it is suspended, because that would unwind the task by
//! force, through C frames and `catch_unwind`; an abandoned one is leaked with its stack.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::header::{Header, TaskCell};
use crate::local::Locals;
use crate::stack::SlabStack;
use crate::{fork, fp, own, park_word};

type Body = Coroutine<(), u32, (), SlabStack>;

/// A closure up to this size is moved to the task's stack, a larger one to the heap: corosensei
/// takes 1,024 bytes, with what `on_stack` adds.
const LARGE: usize = 960;

/// What a suspending task tells its worker in the switch (as a number: zero yields).
pub(crate) enum Step {
    Yield,
    Wait(u32),
    End,
}

/// What the task and its runner use, one of them at a time.
pub(crate) struct Own {
    body: UnsafeCell<Option<ManuallyDrop<Body>>>,
    yielder: Cell<*const Yielder<(), u32>>,
    /// One pointer for deadline scopes.
    pub(crate) scope: Cell<*const ()>,
    pub(crate) locals: Locals,
    /// While the task does not run: its part of the floating-point unit.
    control: Cell<fp::Control>,
    /// Of the task's own thread-locals; 0 if it has none.
    pub(crate) thread_pointer: usize,
}

impl Own {
    pub(crate) fn new(thread_pointer: usize) -> Self {
        Own {
            thread_pointer,
            body: UnsafeCell::new(None),
            yielder: Cell::new(ptr::null()),
            scope: Cell::new(ptr::null()),
            locals: Locals::new(),
            control: Cell::new(fp::Control::in_force()),
        }
    }
}

/// Puts `f` on `stack` as the body of the task.
///
/// # Safety
/// The task has not been scheduled yet; what `f` borrows lives until the task has ended, and any
/// thread may run it.
pub(crate) unsafe fn prepare<T, F: FnOnce() -> T>(cell: NonNull<Header>, stack: SlabStack, f: F) {
    stack.set_owner(cell.as_ptr());
    // SAFETY: nobody else knows the task yet. The coroutine may be left unfinished for ever (an
    // abandoned task): the caller's promise covers that.
    unsafe {
        let body = if size_of::<F>() > LARGE || align_of::<F>() > 64 {
            let f = Box::new(f);
            on_stack::<T, _>(cell, stack, f)
        } else {
            on_stack::<T, _>(cell, stack, f)
        };
        *cell.as_ref().own.body.get() = Some(ManuallyDrop::new(body));
    }
}

unsafe fn on_stack<T, F: FnOnce() -> T>(cell: NonNull<Header>, stack: SlabStack, f: F) -> Body {
    let body = move |yielder: &Yielder<(), u32>, ()| {
        // SAFETY: the task runs, so its worker holds the run reference; what is `own` is ours now.
        unsafe {
            cell.as_ref().own.yielder.set(yielder);
            if cell.as_ref().own.thread_pointer != 0 {
                own::begin();
            }
            run_body::<T, F>(cell, f);
            if cell.as_ref().own.thread_pointer != 0 {
                own::run_destructors();
                if fork::forked() {
                    // libc believes that this task's block is the thread, and may have reused the
                    // worker's. As with a thread whose function returns: when the last one ends, so
                    // does the process.
                    std::process::exit(0);
                }
            }
        }
    };
    // SAFETY: `prepare`'s caller answers for the borrows.
    unsafe { Body::with_stack_unchecked(stack, body) }
}

/// A task's life, on its own stack (or its own thread): nothing unwinds out of here.
///
/// # Safety
/// Called once, by the runner of the task whose result is a `T`.
pub(crate) unsafe fn run_body<T, F: FnOnce() -> T>(cell: NonNull<Header>, f: F) {
    // SAFETY: the runner's reference keeps the cell; until `settle` the result is ours alone,
    // and afterwards we use it only if `settle` gives it back to us.
    unsafe {
        let header = cell.as_ref();
        let result = catch_unwind(AssertUnwindSafe(f));
        if let Err(payload) = &result {
            report(header, &message_of(payload.as_ref()), header.join.is_detached());
        }
        header.own.locals.clear();
        *cell.cast::<TaskCell<T>>().as_ref().result.get() = Some(result);
        if header.join.settle() {
            (header.vtable.drop_result)(cell);
        }
    }
}

/// Resumes the task until it switches away. The one place where the thread changes stacks (and,
/// with thread-locals of a task's own, its thread pointer): no thread-local is touched in here.
/// What the task has set in the floating-point unit does not stay with the thread.
///
/// # Safety
/// The caller has the right to run the task, and the body has not ended.
#[inline(always)]
pub(crate) unsafe fn resume(header: NonNull<Header>) -> Step {
    // SAFETY: only the runner touches the body, and it is there until `recycle`.
    let body = unsafe { (*header.as_ref().own.body.get()).as_mut().unwrap_unchecked() };
    // SAFETY: as above.
    let own = unsafe { &header.as_ref().own };
    let threads = fp::Control::in_force();
    threads.change_to(own.control.get());
    let outcome = match own.thread_pointer {
        0 => body.resume(()),
        // SAFETY: the task's own block, which its runner alone is in.
        thread_pointer => unsafe {
            let thread = own::enter(thread_pointer);
            let outcome = body.resume(());
            own::leave(thread_pointer, thread);
            outcome
        },
    };
    let tasks = fp::Control::in_force();
    tasks.change_to(threads);
    own.control.set(tasks);
    match outcome {
        CoroutineResult::Yield(0) => Step::Yield,
        CoroutineResult::Yield(accept) => Step::Wait(accept),
        CoroutineResult::Return(()) => Step::End,
    }
}

/// Switches from the task to its worker; returns when the task is run again, maybe by another.
///
/// # Safety
/// `header` is the task that is running here, and it is on a stack of its own.
#[inline]
pub(crate) unsafe fn switch_out(header: &Header, accept: u32) {
    debug_assert_eq!(accept & !park_word::ALL, 0);
    // SAFETY: set when the body began, and valid as long as it has not returned.
    unsafe { (*header.own.yielder.get()).suspend(accept) };
}

/// Gives the stack of a task that has ended back.
///
/// # Safety
/// The body has returned, and the caller has the right to run the task.
pub(crate) unsafe fn recycle(header: NonNull<Header>) {
    // SAFETY: exclusive as for `resume`; a body that has returned has no frame left.
    unsafe {
        if let Some(body) = (*header.as_ref().own.body.get()).take() {
            ManuallyDrop::into_inner(body).into_stack().release();
        }
    }
}

/// The words of a panic's payload.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(words) = payload.downcast_ref::<&'static str>() {
        (*words).to_owned()
    } else if let Some(words) = payload.downcast_ref::<String>() {
        words.clone()
    } else {
        "Box<dyn Any>".to_owned()
    }
}

/// Tells on stderr, in one write, that a task has panicked.
pub(crate) fn report(header: &Header, message: &str, unobserved: bool) {
    let more = if unobserved { ", and nobody joined it" } else { "" };
    let words = format!("{} panicked: {message}{more}\n", header.title());
    // SAFETY: the bytes of a live string. Not std's stderr: its lock belongs to a thread.
    unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
}
