//! The task that runs here, and how it waits.
//!
//! The thread-local that says which task a thread runs is read and written only in functions
//! that are never inlined and contain no suspension: the compiler keeps the address of a
//! thread-local in a register, and a lean task may wake up on another thread. A task with
//! thread-locals of its own has this one in its block, and its worker writes it there.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::{self, NonNull};

use crate::coroutine;
use crate::crossing::assert_no_crossing;
use crate::fork::forked;
use crate::header::{Header, Task};
use crate::own;
use crate::spawn::Kind;
use crate::tokens::Tokens;
use crate::worker::WorkerLocal;

struct Here {
    task: Cell<*const Header>,
    context: Cell<*const ()>,
    /// The scope cell of a plain thread.
    scope: Cell<*const ()>,
    /// What the worker has for waking tasks; null on other threads.
    worker: Cell<*const WorkerLocal>,
    /// In the block of a task that runs: the thread pointer of the thread it runs on. Else 0.
    thread: Cell<usize>,
    /// The thread's signal stack, if the task that runs here, on its own thread-locals, has set another one.
    signal_stack: Cell<Option<libc::stack_t>>,
}

impl Here {
    fn assert_outside_of_tasks(&self) {
        let outside = self.task.get().is_null() && self.thread.get() == 0;
        assert!(outside, "a task cannot run tasks");
    }
}

thread_local! {
    static HERE: Here = const {
        Here {
            task: Cell::new(ptr::null()),
            context: Cell::new(ptr::null()),
            scope: Cell::new(ptr::null()),
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
    HERE.with(Here::assert_outside_of_tasks);
}

/// What this thread has for waking tasks, if it is a worker.
///
/// # Panics
/// In a task.
#[inline(never)]
pub(crate) fn outside_of_tasks() -> *const WorkerLocal {
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
#[inline(never)]
pub(crate) fn enter(task: *const Header, context: *const (), thread_pointer: usize) -> *const WorkerLocal {
    HERE.with(|here| {
        here.assert_outside_of_tasks();
        if thread_pointer == 0 {
            here.task.set(task);
            here.context.set(context);
        } else {
            let (place, thread) = own::same_place(ptr::from_ref(here) as usize, thread_pointer);
            // SAFETY: the block is complete and ours until `leave`; nobody runs on it.
            let there = unsafe { &*(place as *const Here) };
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
            let (place, _) = own::same_place(ptr::from_ref(here) as usize, thread_pointer);
            // SAFETY: as in `enter`.
            let there = unsafe { &*(place as *const Here) };
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
pub(crate) fn worker_local() -> *const WorkerLocal {
    if forked() {
        return ptr::null();
    }
    HERE.with(|here| match here.thread.get() {
        0 => here.worker.get(),
        thread => {
            let (place, _) = own::same_place(ptr::from_ref(here) as usize, thread);
            // SAFETY: the block of the thread that runs this task, which is complete.
            unsafe { (*(place as *const Here)).worker.get() }
        }
    })
}

/// This thread is a worker, with `local`; null: no more.
#[inline(never)]
pub(crate) fn set_worker_local(local: *const WorkerLocal) {
    HERE.with(|here| here.worker.set(local));
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

/// What the worker gave to [`Runnable::run_noting`](crate::Runnable::run_noting); null outside such a task.
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

/// The addresses of the stack that the current task was given, or the plain thread; `None` if the system does not tell. Code that
/// runs on another stack is a coroutine's of somebody else.
#[inline]
pub fn own_stack() -> Option<Range<usize>> {
    // SAFETY: as in `with_current`.
    let stack = here().and_then(|header| unsafe { header.as_ref() }.stack());
    stack.map(|(low, high)| low..high).or_else(crate::stack::of_thread)
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
/// Outside a task, in a forked child, with nothing to wait for, and with [`Tokens::OP`]: that takes [`suspend_for_op`].
#[inline]
pub fn suspend(accept: Tokens) -> Tokens {
    assert!(!accept.contains(Tokens::OP), "a completion is taken by who has an operation in flight");
    wait(accept)
}

/// As [`suspend`], also for [`Tokens::OP`].
///
/// # Safety
/// If `accept` has `Tokens::OP`, the caller has an operation in flight (one that leaves that token at this task, once), and it is the task's only
/// one. (Or its completion would be taken for another's, which then goes on writing to a stack that has been left.)
#[inline]
pub unsafe fn suspend_for_op(accept: Tokens) -> Tokens {
    wait(accept)
}

#[inline]
fn wait(accept: Tokens) -> Tokens {
    assert!(!accept.is_empty(), "a wait for nothing would never end");
    assert_no_crossing("a suspension");
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
            // SAFETY: a task on a stack of its own, which runs here.
            unsafe { coroutine::switch_out(header, accept.bits()) };
        }
    }
}

/// Lets other tasks run. In a plain thread and a dedicated task: the system's yield.
#[inline]
pub fn yield_now() {
    assert_no_crossing("a yield");
    match here() {
        // SAFETY: the task that runs here.
        Some(header) if unsafe { header.as_ref() }.kind != Kind::Dedicated => {
            // SAFETY: it is on a stack of its own. Zero: not a wait.
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
