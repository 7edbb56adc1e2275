//! What runs on this thread, in one thread-local.
//!
//! Only functions that are never inlined and contain no suspension read or write it. The compiler keeps the address of
//! a thread-local in a register, and a lean task may wake up on another thread. A task with thread-locals of its own
//! has this one in its block, and its worker writes it there. (The scope and the signal stack are written by who runs here.)
//!
//! The pointers have no types here. `WorkerLocal` puts a task's header there for a run, and what a worker has; `wait` reads the
//! header.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

struct ThisThread {
    /// The task that runs.
    task: Cell<*const ()>,
    context: Cell<*const ()>,
    /// The scope cell of a plain thread.
    scope: Cell<*const ()>,
    /// The task on its own thread-locals that has stepped out onto this thread's.
    stepped_out: Cell<*const ()>,
    /// What the worker has for waking tasks; null on other threads.
    worker: Cell<*const ()>,
    /// In the block of a task that runs: the thread pointer of the thread it runs on. Else 0.
    thread: Cell<usize>,
    /// The thread's signal stack, if the task that runs here, on its own thread-locals, has set another one.
    signal_stack: Cell<Option<libc::stack_t>>,
}

impl ThisThread {
    fn assert_outside_of_tasks(&self) {
        let outside = self.task.get().is_null() && self.thread.get() == 0;
        assert!(outside, "a task cannot run tasks");
    }
}

thread_local! {
    static HERE: ThisThread = const {
        ThisThread {
            task: Cell::new(ptr::null()),
            context: Cell::new(ptr::null()),
            scope: Cell::new(ptr::null()),
            stepped_out: Cell::new(ptr::null()),
            worker: Cell::new(ptr::null()),
            thread: Cell::new(0),
            signal_stack: Cell::new(None),
        }
    };
}

/// # Panics
/// In a task.
#[inline(never)]
pub(crate) fn assert_outside_of_tasks() {
    HERE.with(ThisThread::assert_outside_of_tasks);
}

/// What this thread has for waking tasks, if it is a worker.
///
/// # Panics
/// In a task.
#[inline(never)]
pub(crate) fn outside_of_tasks() -> *const () {
    HERE.with(|here| {
        here.assert_outside_of_tasks();
        here.worker.get()
    })
}

/// This thread runs `task` from now on, with the block of `thread_pointer` if that is not 0. Gives what
/// [`outside_of_tasks`] does.
///
/// # Panics
/// In a task.
///
/// # Safety
/// `task` is null, or the [`Header`](crate::task::Header) of a task that the caller has the right to run, until [`leave`]; and the
/// block of `thread_pointer` is its own, and complete.
#[inline(never)]
pub(crate) unsafe fn enter(task: *const (), context: *const (), thread_pointer: usize) -> *const () {
    HERE.with(|here| {
        here.assert_outside_of_tasks();
        if thread_pointer == 0 {
            here.task.set(task);
            here.context.set(context);
        } else {
            let (place, thread) = same_place(ptr::from_ref(here) as usize, thread_pointer);
            // SAFETY: the block is complete and ours until `leave`; nobody runs on it.
            let there = unsafe { &*(place as *const ThisThread) };
            there.task.set(task);
            there.context.set(context);
            there.thread.set(thread);
        }
        here.worker.get()
    })
}

/// This thread runs the task of `enter` no more.
#[inline(never)]
pub(crate) fn leave(thread_pointer: usize) {
    HERE.with(|here| {
        if thread_pointer == 0 {
            here.task.set(ptr::null());
            here.context.set(ptr::null());
        } else {
            let (place, _) = same_place(ptr::from_ref(here) as usize, thread_pointer);
            // SAFETY: as in `enter`.
            let there = unsafe { &*(place as *const ThisThread) };
            if let Some(stack) = there.signal_stack.take() {
                // SAFETY: the signal stack that this thread had when it entered the task, or came back to it.
                unsafe { change_signal_stack(&stack) };
            }
        }
    });
}

/// Where the thread-local of this file lies. For measuring.
#[inline(never)]
pub(crate) fn address_of_here() -> usize {
    HERE.with(|here| ptr::from_ref(here) as usize)
}

/// If the caller is on a task's own thread-locals: the thread pointer of the thread that runs it. Else 0.
#[inline(never)]
pub(crate) fn thread_of_task() -> usize {
    HERE.with(|here| here.thread.get())
}

/// The kernel's answer, of whatever thread this is.
///
/// # Safety
/// As for sigaltstack(2).
unsafe fn change_signal_stack(new: *const libc::stack_t) -> Option<libc::stack_t> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the caller's promise, and a place for the answer, which is there if the call says so.
    unsafe {
        (libc::syscall(libc::SYS_sigaltstack, new, before.as_mut_ptr()) == 0).then(|| before.assume_init())
    }
}

/// The task on its own thread-locals that runs here is about to set another signal stack than the present one.
#[inline(never)]
pub(crate) fn note_signal_stack() {
    HERE.with(|here| {
        if here.signal_stack.get().is_none() {
            // SAFETY: a question.
            here.signal_stack.set(unsafe { change_signal_stack(ptr::null()) });
        }
    });
}

/// The task on its own thread-locals that runs here steps out: if it has set another signal stack than its thread has, that is in
/// force again. Gives the task's, for [`set_signal_stack`].
#[inline(never)]
pub(crate) fn take_signal_stack_back() -> Option<libc::stack_t> {
    // SAFETY: the signal stack that this thread had when it entered the task, or came back to it.
    HERE.with(|here| here.signal_stack.take().and_then(|stack| unsafe { change_signal_stack(&stack) }))
}

/// It comes back: its own signal stack is in force again, in place of whatever the thread has now.
#[inline(never)]
pub(crate) fn set_signal_stack(of_task: &libc::stack_t) {
    // SAFETY: what the task had set; as on a thread, it is there until it sets another one.
    HERE.with(|here| here.signal_stack.set(unsafe { change_signal_stack(of_task) }));
}

/// What this worker, or the one that runs this task, has for waking tasks. Not to be kept across a suspension. Read
/// where the worker has it, as a task may step out onto the thread and change it.
#[inline(never)]
pub(crate) fn worker() -> *const () {
    HERE.with(|here| match here.thread.get() {
        0 => here.worker.get(),
        thread => {
            let (place, _) = same_place(ptr::from_ref(here) as usize, thread);
            // SAFETY: the block of the thread that runs this task, which is complete.
            unsafe { (*(place as *const ThisThread)).worker.get() }
        }
    })
}

/// This thread is a worker, with `local`; null: no more.
///
/// # Safety
/// `local` is null, or a [`WorkerLocal`](crate::worker::WorkerLocal) of this thread, which lives until the next call.
#[inline(never)]
pub(crate) unsafe fn set_worker(local: *const ()) {
    HERE.with(|here| here.worker.set(local));
}

/// The task that runs on this thread; null: none. Also in a forked child.
#[inline(never)]
pub(crate) fn task() -> *const () {
    HERE.with(|here| here.task.get())
}

/// What the worker gave to [`enter`] besides the task; null outside of tasks.
#[inline(never)]
pub(crate) fn context() -> *const () {
    HERE.with(|here| here.context.get())
}

/// What a plain thread has in the place of a task's scope.
#[inline(never)]
pub(crate) fn scope_of_thread() -> *const () {
    HERE.with(|here| here.scope.get())
}

#[inline(never)]
pub(crate) fn set_scope_of_thread(scope: *const ()) {
    HERE.with(|here| here.scope.set(scope));
}

/// The task that has stepped out onto this thread's thread-locals; null: none.
#[inline(never)]
pub(crate) fn stepped_out() -> *const () {
    HERE.with(|here| here.stepped_out.get())
}

/// `task` has stepped out onto this thread's thread-locals; null: it goes back.
#[inline(never)]
pub(crate) fn set_stepped_out(task: *const ()) {
    HERE.with(|here| here.stepped_out.set(task));
}

/// The thread pointer in force.
#[inline(always)]
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) fn thread_pointer() -> usize {
    let thread_pointer: usize;
    // SAFETY: the ABI has the thread pointer's own value where it points.
    unsafe {
        std::arch::asm!("mov {}, qword ptr fs:[0]", out(reg) thread_pointer, options(nostack, preserves_flags, readonly));
    }
    thread_pointer
}

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
fn thread_pointer() -> usize {
    unreachable!("tasks have no thread-locals of their own on this target")
}

/// What lies at `address` in this thread's block: where it lies in the task's; and this thread's own pointer.
#[inline(always)]
pub(crate) fn same_place(address: usize, task: usize) -> (usize, usize) {
    let thread = thread_pointer();
    (task.wrapping_add(address.wrapping_sub(thread)), thread)
}
