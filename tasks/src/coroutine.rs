//! The glue over corosensei: a task's body on its own stack, the switch into it and out of it.
//!
//! A coroutine is never dropped while it is suspended, because that would unwind the task by
//! force, through C frames and `catch_unwind`; an abandoned one is leaked with its stack.

#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::header::{Header, write_fields};
use crate::local::Locals;
use crate::stack::{Keep, Reserved, SlabStack};
use crate::{fork, fp, own, park_word};

type Body = Coroutine<(), u32, (), SlabStack>;

/// What a suspending task tells its worker in the switch (as a number: zero yields).
pub(crate) enum Step {
    Yield,
    Wait(u32),
    End,
}

/// What the task and its runner use, one of them at a time. `repr(C)`: what each switch touches comes first.
#[repr(C)]
pub(crate) struct Own {
    yielder: Cell<*const Yielder<(), u32>>,
    /// Of the task's own thread-locals; 0 if it has none.
    pub(crate) thread_pointer: Cell<usize>,
    /// While the task does not run: its part of the floating-point unit.
    control: fp::Saved,
    /// One pointer for deadline scopes.
    pub(crate) scope: Cell<*const ()>,
    /// There from the task's first run to its end.
    body: UnsafeCell<Option<ManuallyDrop<Body>>>,
    pub(crate) locals: Locals,
    /// What was promised to it; nothing for a dedicated task.
    stack: Option<Reserved>,
}

impl Own {
    /// # Safety
    /// Memory for one.
    #[inline(always)]
    pub(crate) unsafe fn write(to: *mut Own, stack: Option<Reserved>) {
        // SAFETY: the caller's promise.
        unsafe {
            write_fields!(
                to,
                Own {
                    body: UnsafeCell::new(None),
                    yielder: Cell::new(ptr::null()),
                    thread_pointer: Cell::new(0),
                    control: fp::Saved::new(),
                    scope: Cell::new(ptr::null()),
                    locals: Locals::new(),
                    stack: stack,
                }
            );
            // As with a thread: its spawner's.
            (*to).control.save();
        }
    }

    /// Whether the task has never run. Asked by its runner.
    #[inline]
    pub(crate) fn is_new(&self) -> bool {
        // SAFETY: only the runner touches the body.
        unsafe { (*self.body.get()).is_none() }
    }
}

/// Gives the task its stack. `keep` is the calling worker's.
///
/// # Safety
/// The caller has the right to run the task, which is new and has been promised a stack.
pub(crate) unsafe fn begin(cell: NonNull<Header>, keep: Option<&Keep>) {
    // SAFETY: the caller's right.
    let header = unsafe { cell.as_ref() };
    let stack =
        header.own.stack.expect("a task that workers run was promised a stack").take(cell.as_ptr(), keep);
    header.set_stack(stack.usable());
    header.own.thread_pointer.set(stack.thread_pointer());
    // SAFETY: only the runner touches the body. The coroutine may be left unfinished for ever (an
    // abandoned task): the contract of `spawn_unchecked` covers that.
    unsafe {
        let body = Body::with_stack_unchecked(stack, move |yielder, ()| life(cell, yielder));
        *header.own.body.get() = Some(ManuallyDrop::new(body));
    }
}

/// A task's life, on its own stack: nothing unwinds out of here.
fn life(cell: NonNull<Header>, yielder: &Yielder<(), u32>) {
    // SAFETY: the task runs, so its worker holds the run reference; what is `own` is ours now.
    let header = unsafe { cell.as_ref() };
    header.own.yielder.set(yielder);
    let on_block = header.own.thread_pointer.get() != 0;
    if on_block {
        own::begin();
    }
    // SAFETY: once, by the task's runner.
    unsafe { (header.vtable.run)(cell) };
    if on_block {
        own::run_destructors();
        if fork::forked() {
            // libc believes that this task's block is the thread, and may have reused the
            // worker's. As with a thread whose function returns: when the last one ends, so
            // does the process.
            std::process::exit(0);
        }
        // Task-locals go with the thread-locals, but for those that the destructors of these have made anew.
        if header.own.locals.clear() {
            own::run_destructors();
        }
    }
    header.own.control.save();
}

/// Resumes the task until it switches away. The one place where the thread changes stacks (and,
/// with thread-locals of a task's own, its thread pointer): no thread-local is touched in here.
/// What the task has set in the floating-point unit does not stay with the thread, whose part of it is `control`.
///
/// # Safety
/// The caller has the right to run the task, and the body has begun and not ended.
#[inline(always)]
pub(crate) unsafe fn resume(header: NonNull<Header>, control: fp::Control) -> Step {
    // SAFETY: only the runner touches the body, and it is there until `recycle`.
    let body = unsafe { (*header.as_ref().own.body.get()).as_mut().unwrap_unchecked() };
    // SAFETY: as above.
    let own = unsafe { &header.as_ref().own };
    control.change_to(own.control.get());
    let outcome = match own.thread_pointer.get() {
        0 => body.resume(()),
        // SAFETY: the task's own block, which its runner alone is in.
        thread_pointer => unsafe {
            let thread = own::enter(thread_pointer);
            let outcome = body.resume(());
            own::leave(thread_pointer, thread);
            outcome
        },
    };
    own.control.get().change_to(control);
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
    // Here and not after the switch, where the worker would have to wait for what it reads.
    header.own.control.save();
    // SAFETY: set when the body began, and valid as long as it has not returned.
    unsafe { (*header.own.yielder.get()).suspend(accept) };
}

/// Gives the stack of a task that has ended back; `keep` is the calling worker's.
///
/// # Safety
/// The body has returned, and the caller has the right to run the task.
pub(crate) unsafe fn recycle(header: NonNull<Header>, keep: Option<&Keep>) {
    // SAFETY: exclusive as for `resume`; a body that has returned has no frame left.
    unsafe {
        if let Some(body) = (*header.as_ref().own.body.get()).take() {
            ManuallyDrop::into_inner(body).into_stack().release(keep);
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
