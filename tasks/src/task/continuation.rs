//! Where a task goes on: its body on a stack of its own, and the switch into it and out of it. The glue over corosensei.
//!
//! A coroutine is never dropped while it is suspended: that would unwind the task by force, through C
//! frames and `catch_unwind`. An abandoned one is leaked with its stack.

#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::stack::{Reserved, SlabStack, StackCache};
use crate::task::locals::Locals;
use crate::task::park_word;
use crate::util::fields::write_fields;
use crate::{own, util::fp};

type Body = Coroutine<(), u32, (), SlabStack>;

/// What a suspending task tells its worker in the switch (as a number: zero yields).
pub(crate) enum Step {
    Yield,
    Wait(u32),
    End,
}

/// What the task and its runner use, one of them at a time. `repr(C)`: what each switch touches comes first.
#[repr(C)]
pub(crate) struct Continuation {
    yielder: Cell<*const Yielder<(), u32>>,
    /// Of the task's own thread-locals; 0 if it has none.
    thread_pointer: Cell<usize>,
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

impl Continuation {
    /// # Safety
    /// Memory for one.
    #[inline(always)]
    pub(crate) unsafe fn write(to: *mut Continuation, stack: Option<Reserved>) {
        // SAFETY: the caller's promise.
        unsafe {
            write_fields!(
                to,
                Continuation {
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

    /// The thread pointer of the task's own thread-locals; 0 if it has none, or has not begun.
    #[inline(always)]
    pub(crate) fn thread_pointer(&self) -> usize {
        self.thread_pointer.get()
    }

    /// Has the task thread-locals of its own?
    #[inline]
    pub(crate) fn has_block(&self) -> bool {
        self.thread_pointer.get() != 0
    }

    /// Gives the task its stack, on which `life` will run when it is resumed; gives the addresses that frames may use. `cache` is
    /// the calling worker's.
    ///
    /// # Safety
    /// The caller has the right to run the task, which is new and was promised a stack. `owner` is its header, which lives as long as
    /// it has this stack. Nothing unwinds out of `life`, and what it
    /// borrows outlives the task: for ever, if the task is abandoned.
    pub(crate) unsafe fn begin(
        &self,
        owner: *const (),
        cache: Option<&StackCache>,
        life: impl FnOnce(),
    ) -> (usize, usize) {
        let promised = self.stack.expect("a task that workers run was promised a stack");
        // SAFETY: the caller's promise.
        let stack = unsafe { promised.take(owner, cache) };
        let usable = stack.usable();
        self.thread_pointer.set(stack.thread_pointer());
        let place = NonNull::from(self);
        let live = move |yielder: &Yielder<(), u32>, ()| {
            // SAFETY: the task runs, so its worker holds the run reference; what is in here is ours now.
            let me = unsafe { place.as_ref() };
            me.yielder.set(yielder);
            life();
            me.control.save();
        };
        // SAFETY: only the runner touches the body. The coroutine may be left unfinished for ever (an
        // abandoned task): the caller's promise covers that.
        unsafe {
            let body = Body::with_stack_unchecked(stack, live);
            *self.body.get() = Some(ManuallyDrop::new(body));
        }
        usable
    }

    /// Resumes the task until it switches away. The one place where the thread changes stacks (and,
    /// with thread-locals of a task's own, its thread pointer): no thread-local is touched in here.
    /// What the task has set in the floating-point unit does not stay with the thread, whose part of it is `control`.
    ///
    /// # Safety
    /// The caller has the right to run the task, and the body has begun and not ended.
    #[inline(always)]
    pub(crate) unsafe fn resume(&self, control: fp::Control) -> Step {
        // SAFETY: only the runner touches the body, and it is there until `recycle`.
        let body = unsafe { (*self.body.get()).as_mut().unwrap_unchecked() };
        control.change_to(self.control.get());
        let outcome = match self.thread_pointer.get() {
            0 => body.resume(()),
            // SAFETY: the task's own block, which its runner alone is in.
            thread_pointer => unsafe {
                let thread = own::enter(thread_pointer);
                let outcome = body.resume(());
                own::leave(thread_pointer, thread);
                outcome
            },
        };
        self.control.get().change_to(control);
        match outcome {
            CoroutineResult::Yield(0) => Step::Yield,
            CoroutineResult::Yield(accept) => Step::Wait(accept),
            CoroutineResult::Return(()) => Step::End,
        }
    }

    /// Switches from the task to its worker; returns when the task is run again, maybe by another.
    ///
    /// # Safety
    /// This is of the task that is running here, and it is on a stack of its own.
    #[inline]
    pub(crate) unsafe fn switch_out(&self, accept: u32) {
        debug_assert_eq!(accept & !park_word::ALL, 0);
        // Here and not after the switch, where the worker would have to wait for what it reads.
        self.control.save();
        // SAFETY: set when the body began, and valid as long as it has not returned.
        unsafe { (*self.yielder.get()).suspend(accept) };
    }

    /// The task never runs: what was promised to it goes back.
    ///
    /// # Safety
    /// The caller has the right to run the task, gives that up, and calls this once.
    pub(crate) unsafe fn give_up(&self) {
        debug_assert!(self.is_new(), "a task that has begun has its stack");
        self.stack.into_iter().for_each(Reserved::give_up);
    }

    /// Gives the stack of a task that has ended back; `cache` is the calling worker's.
    ///
    /// # Safety
    /// The body has returned, and the caller has the right to run the task.
    pub(crate) unsafe fn recycle(&self, cache: Option<&StackCache>) {
        // SAFETY: exclusive as for `resume`; a body that has returned has no frame left.
        unsafe {
            if let Some(body) = (*self.body.get()).take() {
                ManuallyDrop::into_inner(body).into_stack().release(cache);
            }
        }
    }
}
