//! One run of a task, on the thread that has the right to it, from its beginning or its last suspension to the next.

#![allow(unsafe_code)]

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

use super::end::ended;
use super::fork::end_child;
use crate::stack::StackCache;
use crate::task::{Header, Outcome, READY, RUNNING, Runnable, Step, member_of};
use crate::util::coarse;
use crate::util::foreign::catch_quietly;
use crate::util::forked::forked;
use crate::util::fp;
use crate::wait::section;
use crate::worker::WorkerLocal;
use crate::{here, own};

impl Runnable {
    /// The task never begins. Its closure is dropped here, and it ends: who joins it, or does so already, gets an error that holds `why`.
    /// With `leaks`, the closure is not dropped, but left where it is for good. A task that has begun is given back.
    ///
    /// What is dropped is the program's: this is called where foreign code may run, unless it leaks.
    ///
    /// # Errors
    /// The task has begun.
    pub fn refuse(self, why: &'static str, leaks: bool) -> Result<(), Runnable> {
        let cell = self.raw();
        if !self.is_new() {
            return Err(self);
        }
        // SAFETY: we hold the run reference, and the task has never run: closure and promise are there, and nobody but us uses them. The
        // closure is dropped, or never touched again, before anybody learns of the end: it may borrow what a joiner owns.
        unsafe {
            let task = cell.as_ref();
            if !leaks {
                catch_quietly(|| (task.vtable.drop_closure)(cell));
            } else if let Some(member) = member_of(cell) {
                member.lose();
            }
            (task.vtable.refuse)(cell, Box::new(why));
            if task.join.settle() {
                (task.vtable.drop_result)(cell);
            }
            task.continuation.give_up();
        }
        ended(cell, !leaks);
        Ok(())
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
    /// scheduler is asked for a [`note`](crate::Scheduler::note).
    ///
    /// # Panics
    /// As there.
    ///
    /// # Safety
    /// `context` is null, or what all code that asks for it meanwhile takes it for, also code that a task only happens to call:
    /// where `ec-pool` is in the program, its own.
    #[inline(never)]
    pub unsafe fn run_noting(self, context: *const (), due: &AtomicBool) -> Outcome {
        let header = self.raw();
        // SAFETY: we hold the run reference: the task is alive and nobody else runs it.
        let task = unsafe { header.as_ref() };
        if task.continuation.is_new() {
            begin(header);
        }
        let thread_pointer = task.continuation.thread_pointer();
        // SAFETY: this thread's own, which it keeps as long as it is a worker, and (leaked, then) to the end of this run.
        let local = unsafe { WorkerLocal::enter(header, context, thread_pointer).as_ref() };
        let _use = local.map(WorkerLocal::in_use);
        let control = local.map_or_else(fp::Control::in_force, |local| local.control);
        task.phase.store(RUNNING, Ordering::Relaxed);
        let outcome = loop {
            // SAFETY: as above; after `park` said true it is not touched again.
            match unsafe { task.continuation.resume(control) } {
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
                    task.parks();
                    if task.word.park(accept) {
                        break Outcome::Suspended;
                    }
                    task.phase.store(RUNNING, Ordering::Relaxed);
                }
                Step::End => {
                    here::leave(thread_pointer);
                    finish(header, local.map(|local| &local.cache));
                    return Outcome::Finished;
                }
            }
        };
        here::leave(thread_pointer);
        outcome
    }
}

/// The task does not run any more, and is its runner's still.
#[inline]
fn take_note(task: &Header, due: &AtomicBool) {
    #[cold]
    fn ask(task: &Header) {
        // Without a core: there may be nobody else who ticks.
        coarse::tick();
        task.noted.store(task.scheduler.note(), Ordering::Relaxed);
    }
    if due.load(Ordering::Relaxed) || task.noted.load(Ordering::Relaxed) {
        ask(task);
    }
}

/// The beginning of a task on a stack of its own, on its first worker.
fn begin(header: NonNull<Header>) {
    // SAFETY: this thread's own, which it keeps as long as it is a worker.
    let local = unsafe { WorkerLocal::outside_of_tasks().as_ref() };
    let cache = local.map(|local| &local.cache);
    // SAFETY: we have the right to run it, it is new, and as no dedicated one it was promised a stack. This is its header. Nothing
    // unwinds out of `live`, which is called once, on the task. What the task borrows outlives it, for ever if it is abandoned: that is
    // the contract of `spawn_unchecked`.
    unsafe {
        let task = header.as_ref();
        let stack = task.continuation.begin(header.as_ptr().cast(), cache, move || live(header));
        task.set_stack(stack);
    }
}

/// A task's life, on its own stack: nothing unwinds out of here.
///
/// # Safety
/// On the task, once.
unsafe fn live(cell: NonNull<Header>) {
    // SAFETY: the caller's promise; what is the runner's is ours now.
    let header = unsafe { cell.as_ref() };
    let on_block = header.continuation.has_block();
    if on_block {
        own::begin();
    }
    // SAFETY: once, by the task's runner.
    unsafe { (header.vtable.run)(cell) };
    if on_block {
        own::run_destructors();
        if forked() {
            // libc believes that this task's block is the thread, and may have reused the worker's.
            end_child();
        }
        // Task-locals go with the thread-locals, but for those that the destructors of these have made anew.
        if header.continuation.locals.clear() {
            own::run_destructors();
        }
    }
    section::end(header);
}

/// The end of a task on a stack of its own, on its worker.
fn finish(header: NonNull<Header>, cache: Option<&StackCache>) {
    if !forked() {
        // SAFETY: the coroutine has returned and we hold the run reference.
        unsafe { header.as_ref().continuation.recycle(cache) };
    }
    ended(header, true);
}
