//! The seam to whoever runs tasks: [`Scheduler`] is told what is ready, and calls
//! [`Runnable::run`].
//!
//! The path of a task through here: `schedule` puts its `Runnable` into some queue; a worker
//! takes it and runs it; the task suspends, and only when the switch is complete does the worker
//! park it, so that a waker which comes too early cannot have it run twice; or it ends, and the
//! worker recycles what it had.

#![allow(unsafe_code)]

use std::any::Any;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::coroutine::Step;
use crate::crossing::assert_no_crossing;
use crate::current;
use crate::header::{self, FINISHED, Header, READY, RUNNING, Task, TaskId};
use crate::quiet::drop_quietly;
use crate::stack::Keep;
use crate::tokens::Tokens;
use crate::worker::WorkerLocal;
use crate::{coroutine, dedicated, fp, info};

/// Who runs tasks. Its tasks call it, and nobody else does: a [`Task`] does not give it away.
///
/// # Safety
/// The whole runtime leans on its being right, and it is called where other code must not run: on any thread, from within tasks
/// and handlers, by wakers that hold what is theirs. So none of its functions suspends, panics, or waits for a task; none
/// calls code of others that might (a logger, a callback); and
///
/// * [`schedule`](Scheduler::schedule) sees to it that the task is run once, and soon. (Unless all its threads have ended: then it
///   keeps the `Runnable`.)
/// * [`as_any`](Scheduler::as_any) gives `self`.
///
/// A type that just says so is not enough:
///
/// ```compile_fail,E0200
/// use ec_tasks::{Runnable, Scheduler, TaskId};
///
/// struct Nobody;
/// impl Scheduler for Nobody { // the trait `Scheduler` requires an `unsafe impl` declaration
///     fn schedule(&self, _: Runnable) {}
///     fn task_finished(&self, _: TaskId) {}
///     fn as_any(&self) -> &dyn std::any::Any { self }
/// }
/// ```
/// ```
/// use ec_tasks::{Runnable, Scheduler, TaskId};
///
/// struct Nobody;
/// // SAFETY: no task is ever spawned with it.
/// unsafe impl Scheduler for Nobody {
///     fn schedule(&self, _: Runnable) {}
///     fn task_finished(&self, _: TaskId) {}
///     fn as_any(&self) -> &dyn std::any::Any { self }
/// }
/// ```
pub unsafe trait Scheduler: Send + Sync + 'static {
    /// A task is ready: see to it that [`Runnable::run`] is called soon. Called on any thread,
    /// also a foreign one, also from within a task, with no lock held. It must not suspend, nor
    /// panic. The scheduler stays alive during the call, also if the task ends meanwhile and was
    /// the last to refer to it.
    fn schedule(&self, task: Runnable);

    /// A task has ended and its stack is free again. Called once for each task, on the worker
    /// that ran it or the thread of a dedicated one, before those who join it wake up. It must not suspend, nor panic.
    fn task_finished(&self, id: TaskId);

    /// Asked at the end of a run that was to be noted ([`Runnable::run_noting`]), on its thread and before anybody else can
    /// run the task: what [`Runnable::is_noted`] shall say of it from then on. It must not suspend, nor panic.
    fn note(&self) -> bool {
        false
    }

    /// A reference goes where the program's code must not run any more: on a thread whose thread-locals, and std's own, are gone. If it
    /// is the last one, what the destructor runs of others' is to run on another thread.
    fn let_go(self: Arc<Self>) {
        drop_quietly(self);
    }

    /// Itself: by this [`Task::scheduler_as`] finds the own type again.
    fn as_any(&self) -> &dyn Any;
}

/// The right to run a ready task once.
///
/// Nothing happens to a task by itself: a `Runnable` that is dropped, or forgotten in a queue,
/// abandons its task (it is leaked with its stack; who joins it waits for ever).
#[must_use = "a ready task whose Runnable is dropped never runs again"]
pub struct Runnable(NonNull<Header>);

// SAFETY: a task may be run by any thread, one at a time: that is what `spawn`'s contract says,
// and only one `Runnable` of a task exists at a time.
unsafe impl Send for Runnable {}

/// What became of a task that was run.
#[must_use]
pub enum Outcome {
    /// It called [`yield_now`](crate::yield_now): it is ready again.
    Yielded(Runnable),
    /// It waits; its waker will schedule it (or has already).
    Suspended,
    /// It has ended.
    Finished,
}

impl Runnable {
    /// # Safety
    /// The caller has the run reference and gives it up.
    pub(crate) unsafe fn from_header(header: NonNull<Header>) -> Self {
        Runnable(header)
    }

    /// The task, to look at.
    pub fn task(&self) -> &Task {
        // SAFETY: `Task` is a transparent `NonNull<Header>` as this is; the run reference keeps
        // the task alive as long as `self` is borrowed.
        unsafe { &*(&raw const self.0).cast::<Task>() }
    }

    /// Whether the task has never run.
    pub fn is_new(&self) -> bool {
        // SAFETY: we hold the run reference.
        unsafe { self.0.as_ref() }.own.is_new()
    }

    /// What the scheduler [noted](Scheduler::note) of the task's last run.
    #[inline]
    pub fn is_noted(&self) -> bool {
        // SAFETY: we hold the run reference.
        unsafe { self.0.as_ref() }.noted.load(Ordering::Relaxed)
    }

    /// One word for a queue.
    pub fn into_raw(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// What [`Runnable::into_raw`] made a word of.
    ///
    /// # Safety
    /// The word came from `into_raw` and is turned back once.
    pub unsafe fn from_raw(word: usize) -> Self {
        Runnable(NonNull::new(word as *mut Header).expect("a task's word is not zero"))
    }

    /// Two words in the task's own memory for the scheduler that has it queued: so its queue needs none.
    ///
    /// # Safety
    /// The word came from [`Runnable::into_raw`], and is not turned back as long as the result is used.
    #[inline]
    pub unsafe fn queue_link<'a>(word: usize) -> &'a [AtomicUsize; 2] {
        // SAFETY: the run reference, which the word stands for, keeps the task.
        unsafe { &(*(word as *const Header)).queue_link }
    }

    /// Runs the task on this thread until it suspends, yields or ends. A panic in the task does
    /// not come out here.
    ///
    /// # Panics
    /// When called from within a task.
    #[inline]
    pub fn run(self) -> Outcome {
        static NEVER: AtomicBool = AtomicBool::new(false);
        // SAFETY: there is no context.
        unsafe { self.run_noting(ptr::null(), &NEVER) }
    }

    /// As [`run`](Runnable::run), with a context: what [`current_context`](crate::current_context) gives inside meanwhile. It
    /// is only handed through. If `due` is set when the task suspends or yields, or the run before was noted, the
    /// scheduler is asked for a [`note`](Scheduler::note).
    ///
    /// # Panics
    /// As there.
    ///
    /// # Safety
    /// `context` is null, or what all code that asks for it meanwhile takes it for, also code that a task only happens to call:
    /// where `ec-pool` is in the program, its own.
    #[inline(never)]
    pub unsafe fn run_noting(self, context: *const (), due: &AtomicBool) -> Outcome {
        let header = self.0;
        // SAFETY: we hold the run reference: the task is alive and nobody else runs it.
        let task = unsafe { header.as_ref() };
        if task.own.is_new() {
            begin(header);
        }
        let thread_pointer = task.own.thread_pointer.get();
        // SAFETY: this thread's own, which it keeps as long as it is a worker, and (leaked, then) to the end of this run.
        let local = unsafe { current::enter(header.as_ptr(), context, thread_pointer).as_ref() };
        let _use = local.map(WorkerLocal::in_use);
        let control = local.map_or_else(fp::Control::in_force, |local| local.control);
        task.phase.store(RUNNING, Ordering::Relaxed);
        let outcome = loop {
            // SAFETY: as above; after `park` said true it is not touched again.
            match unsafe { coroutine::resume(header, control) } {
                Step::Yield => {
                    take_note(task, due);
                    task.phase.store(READY, Ordering::Relaxed);
                    break Outcome::Yielded(self);
                }
                Step::Wait(accept) => {
                    // Before parking: a waker may have it run elsewhere at once.
                    take_note(task, due);
                    // It shows once a waker has unparked the task.
                    task.phase.store(READY, Ordering::Relaxed);
                    if task.word.park(accept) {
                        break Outcome::Suspended;
                    }
                    task.phase.store(RUNNING, Ordering::Relaxed);
                }
                Step::End => {
                    current::leave(thread_pointer);
                    finish(header, local.map(|local| &local.keep));
                    return Outcome::Finished;
                }
            }
        };
        current::leave(thread_pointer);
        outcome
    }
}

/// The task does not run any more, and is its runner's still.
#[inline]
fn take_note(task: &Header, due: &AtomicBool) {
    #[cold]
    fn ask(task: &Header) {
        task.noted.store(task.scheduler.note(), Ordering::Relaxed);
    }
    if due.load(Ordering::Relaxed) || task.noted.load(Ordering::Relaxed) {
        ask(task);
    }
}

/// The beginning of a task on a stack of its own, on its first worker.
fn begin(header: NonNull<Header>) {
    // SAFETY: this thread's own, which it keeps as long as it is a worker.
    let local = unsafe { current::outside_of_tasks().as_ref() };
    // SAFETY: we have the right to run it, and it is new.
    unsafe { coroutine::begin(header, local.map(|local| &local.keep)) };
}

/// The end of a task on a stack of its own, on its worker.
fn finish(header: NonNull<Header>, keep: Option<&Keep>) {
    if !crate::fork::forked() {
        // SAFETY: the coroutine has returned and we hold the run reference.
        unsafe { coroutine::recycle(header, keep) };
    }
    ended(header);
}

/// The end of any task: nothing of it is left but the result. Gives up the run reference.
pub(crate) fn ended(header: NonNull<Header>) {
    // SAFETY: the caller has the run reference, until `drop_ref`.
    unsafe {
        let task = header.as_ref();
        if !crate::fork::forked() {
            info::remove(header);
        }
        task.phase.store(FINISHED, Ordering::Relaxed);
        task.scheduler.task_finished(task.id);
        task.join.complete();
        header::drop_ref(header);
    }
}

/// Drops a task's reference to its scheduler. It may be the last, so that code of the program's runs (a listener's destructor): what
/// it does is not the caller's affair.
pub(crate) fn let_go(reference: Arc<dyn Scheduler>) {
    if dedicated::is_thread_over() { reference.let_go() } else { drop_quietly(reference) }
}

/// Hands a ready task to its scheduler.
///
/// As soon as the `Runnable` is in a queue another worker may run the task to its end and free
/// it, and with it the last reference to the scheduler whose `schedule` we are in. So the call
/// holds a reference of its own. Workers, who wake most, keep one of their own scheduler for good
/// (until their `WorkerGuard` goes), which saves them two writes to a contended counter for each wake.
#[inline(never)]
pub(crate) fn schedule(runnable: Runnable) {
    assert_no_crossing("a task that becomes ready");
    // SAFETY: the run reference keeps the header until `runnable` is handed over.
    let scheduler = unsafe { &runnable.0.as_ref().scheduler };
    // (It lives in this thread's `WorkerGuard`, which takes the pointer back before it
    // goes, and then keeps what is held while it is in use, so that nothing within `schedule` can drop it
    // under us.)
    let handed = WorkerLocal::here(|local| match local {
        Some(local) => local.schedule(Arc::as_ptr(scheduler).cast(), runnable),
        None => Err(runnable),
    });
    let Err(runnable) = handed else { return };
    let scheduler = ManuallyDrop::new(Arc::clone(scheduler));
    scheduler.schedule(runnable);
    // (A scheduler that panics is leaked rather than dropped while unwinding.)
    drop(ManuallyDrop::into_inner(scheduler));
}

/// The tokens that [`Step::Wait`] carries.
pub(crate) fn accepted(bits: u32) -> Tokens {
    Tokens::from_bits(bits)
}
