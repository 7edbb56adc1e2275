//! The end of a task as its handle sees it.
//!
//! Three flags in one word: *settled* (the body is over, the result lies there), *detached* (the
//! handle was dropped) and *complete* (the stack is recycled too, and nothing of the task is
//! left). Of settling and detaching, whoever comes second drops the result. The joiner waits for
//! *complete*.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cell::take_result;
use crate::current::{suspend, with_current};
use crate::dedicated::Parker;
use crate::header::Task;
use crate::tokens::Tokens;
use crate::wait::{WaitKind, begin_wait, end_wait};

const SETTLED: u32 = 1;
const DETACHED: u32 = 2;
const COMPLETE: u32 = 4;
const WAITED_FOR: u32 = 8;

static JOIN: WaitKind =
    WaitKind { name: "join", cancel: None, describe: |token, _| format!("the end of task {token}") };

enum Waiter {
    Task(Task),
    Thread(Arc<Parker>),
}

pub(crate) struct JoinWord {
    word: AtomicU32,
    /// Written by the joiner before `WAITED_FOR`, read by the completer after it.
    waiter: UnsafeCell<Option<Waiter>>,
}

impl JoinWord {
    pub(crate) fn new() -> Self {
        JoinWord { word: AtomicU32::new(0), waiter: UnsafeCell::new(None) }
    }

    /// The result is there. True if the handle is gone: then the caller drops it.
    pub(crate) fn settle(&self) -> bool {
        self.word.fetch_or(SETTLED, Ordering::AcqRel) & DETACHED != 0
    }

    /// The handle is gone. True if the result is there: then the caller drops it.
    fn detach(&self) -> bool {
        self.word.fetch_or(DETACHED, Ordering::AcqRel) & SETTLED != 0
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.word.load(Ordering::Relaxed) & DETACHED != 0
    }

    fn is_complete(&self) -> bool {
        self.word.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// Nothing of the task is left. Wakes the joiner.
    pub(crate) fn complete(&self) {
        if self.word.fetch_or(COMPLETE, Ordering::AcqRel) & WAITED_FOR != 0 {
            // SAFETY: the joiner wrote it before the flag that we have seen, and does not touch
            // it again.
            match unsafe { (*self.waiter.get()).take() } {
                Some(Waiter::Task(task)) => task.wake(Tokens::SYNC),
                Some(Waiter::Thread(parker)) => parker.notify(),
                None => {}
            }
        }
    }

    /// Names whom `complete` shall wake. False if it has been already.
    ///
    /// # Safety
    /// Called once, by the only handle.
    unsafe fn wait_for(&self, waiter: Waiter) -> bool {
        // SAFETY: without `WAITED_FOR` the completer does not look there.
        unsafe { *self.waiter.get() = Some(waiter) };
        self.word.fetch_or(WAITED_FOR, Ordering::AcqRel) & COMPLETE == 0
    }
}

/// The handle of a spawned task. Dropping it detaches the task: it goes on by itself.
pub struct JoinHandle<T> {
    task: Task,
    result: PhantomData<T>,
}

// SAFETY: the handle may take or drop the `T` on the thread it was sent to.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: a shared handle gives no access to the `T`.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    /// The only handle of the task, whose result is a `T`.
    pub(crate) unsafe fn new(task: Task) -> Self {
        JoinHandle { task, result: PhantomData }
    }

    /// Waits for the task's end and gives its result, or the payload of its panic, as
    /// [`std::thread::JoinHandle::join`] does. Suspends in a task, blocks in a plain thread. Not
    /// a cancellation point.
    ///
    /// A task that is abandoned (dropped as a [`Runnable`](crate::Runnable), or never run again by its scheduler) never ends, and this
    /// never returns for it.
    ///
    /// When it returns the task's stack is free again, and its task-locals have been dropped.
    ///
    /// In a forked child the parent's tasks do not run: there an unfinished one gives an error
    /// that says so.
    ///
    /// # Panics
    /// In the task itself, which would wait for its own end.
    pub fn join(self) -> std::thread::Result<T> {
        let word = &self.task.header().join;
        if !word.is_complete() {
            if crate::fork::forked() {
                return Err(Box::new("the task to join belongs to the process that forked"));
            }
            with_current(|current| match current {
                Some(me) => {
                    assert!(*me != self.task, "a task cannot join itself: it would wait for its own end");
                    begin_wait(&JOIN, self.task.id().as_u64(), 0);
                    // SAFETY: `join` consumes the only handle.
                    if unsafe { word.wait_for(Waiter::Task(me.clone())) } {
                        while !word.is_complete() {
                            suspend(Tokens::SYNC);
                        }
                    }
                    end_wait();
                }
                None => {
                    let parker = Arc::<Parker>::default();
                    // SAFETY: as above.
                    if unsafe { word.wait_for(Waiter::Thread(parker.clone())) } {
                        parker.wait_while(|| !word.is_complete());
                    }
                }
            });
        }
        // SAFETY: complete, so settled, and only the handle takes the result from then on.
        let result = unsafe { take_result::<T>(self.task.raw()) };
        // What remains of this handle is its reference: there is nothing left to detach. (Taken apart before anything is dropped: what
        // that runs may unwind.)
        let taken = ManuallyDrop::new(self);
        // SAFETY: read out once, the handle itself is never dropped.
        drop(unsafe { std::ptr::read(&taken.task) });
        result.expect("a finished task has a result")
    }

    /// Asks the task to stop; see [`Task::cancel`].
    pub fn cancel(&self) {
        self.task.cancel();
    }

    /// Whether the task has ended: then [`join`](JoinHandle::join) returns at once.
    pub fn is_finished(&self) -> bool {
        self.task.header().join.is_complete()
    }

    /// The task.
    pub fn task(&self) -> &Task {
        &self.task
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let header = self.task.header();
        if header.join.detach() {
            // SAFETY: settled before we detached, so the result is there and ours.
            unsafe {
                if let Some(message) = (header.vtable.panic_message)(self.task.raw()) {
                    crate::coroutine::report(header, &message, true);
                }
                (header.vtable.drop_result)(self.task.raw());
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("task", &self.task).finish_non_exhaustive()
    }
}
