//! The seam to whoever runs tasks: [`Scheduler`] is told what is ready, and calls
//! [`Runnable::run`].
//!
//! The path of a task through here:
//!
//! 1. `schedule` puts its `Runnable` into some queue.
//! 2. A worker takes it and runs it.
//! 3. The task suspends. The worker parks it only when the switch is complete, so that a waker which comes too early
//!    cannot have it run twice.
//! 4. Or the task ends, and the worker recycles what it had.

#![allow(unsafe_code)]

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::header::{Header, Task};
use super::id::TaskId;
use crate::util::foreign::drop_quietly;

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
    /// is the last one, what the destructor runs of others' is to run on another thread. The default drops it here, which is right only
    /// if nothing of others' goes with it.
    fn let_go(self: Arc<Self>) {
        drop_quietly(self);
    }

    /// Itself: by this [`Task::scheduler_as`] finds the own type again.
    fn as_any(&self) -> &dyn Any;
}

/// The right to run a ready task once.
///
/// Nothing happens to a task by itself: a `Runnable` that is dropped, or forgotten in a queue,
/// abandons its task (it is leaked with its stack; who joins it waits for ever). One that has not begun can be
/// [refused](Runnable::refuse) instead.
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

    /// The task, which is alive as long as this is.
    #[inline(always)]
    pub(crate) fn raw(&self) -> NonNull<Header> {
        self.0
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
        unsafe { self.0.as_ref() }.continuation.is_new()
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
}
