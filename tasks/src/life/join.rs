//! The handle of a task, and waiting for its end.

#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::cell::take_result;
use crate::task::{FINISHED, Joiner, Parker, Task, Tokens, WaitKind};
use crate::util::forked::forked;
use crate::wait::{begin_wait, end_wait, suspend, with_current};

static JOIN: WaitKind =
    WaitKind { name: "join", cancel: None, describe: |token, _| format!("the end of task {token}") };

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
    /// never returns for it. One that its scheduler has [refused](crate::Runnable::refuse), before it has begun, gives an error.
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
            if forked() {
                return Err(Box::new("this is a forked child, and the task to join belongs to its parent"));
            }
            with_current(|current| match current {
                Some(me) => {
                    assert!(*me != self.task, "a task cannot join itself: it would wait for its own end");
                    begin_wait(&JOIN, self.task.id().as_u64(), 0);
                    // SAFETY: `join` consumes the only handle.
                    if unsafe { word.wait_for(Joiner::Task(me.clone())) } {
                        while !word.is_complete() {
                            suspend(Tokens::SYNC);
                        }
                    }
                    end_wait();
                }
                None => {
                    let parker = Arc::<Parker>::default();
                    // SAFETY: as above.
                    if unsafe { word.wait_for(Joiner::Thread(parker.clone())) } {
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

    /// Whether the task has ended: then [`join`](JoinHandle::join) returns as soon as its scheduler knows, too.
    pub fn is_finished(&self) -> bool {
        self.task.header().phase.load(Ordering::Acquire) == FINISHED
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
            unsafe { (header.vtable.drop_result)(self.task.raw()) };
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("task", &self.task).finish_non_exhaustive()
    }
}
