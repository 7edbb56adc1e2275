//! The handle of a task, and waiting for its end.

#![allow(unsafe_code)]

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::cell::take_result;
use crate::task::{FINISHED, Joiner, Parker, Task, Tokens, WaitKind, Watcher};
use crate::util::forked::forked;
use crate::wait::{begin_wait, end_wait, suspend, with_current};

static JOIN: WaitKind =
    WaitKind { name: "join", cancel: None, describe: |token, _| format!("the end of task {token}") };

const TAKEN: &str = "the result of the task has been taken before";

/// The error of who waits for the parent's task.
fn never() -> Box<dyn Any + Send> {
    Box::new("this is a forked child, and the task to join belongs to its parent")
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
                return Err(never());
            }
            // SAFETY: the only handle.
            drop(unsafe { word.take_back() });
            with_current(|current| match current {
                Some(me) => {
                    self.is_not(me);
                    begin_wait(&JOIN, self.task.id().as_u64(), 0);
                    // SAFETY: the only handle, which has named nobody any more.
                    if unsafe { word.wait_for(Joiner::Task(me.clone())) }.is_ok() {
                        while !word.is_complete() {
                            suspend(Tokens::SYNC);
                        }
                    }
                    end_wait();
                }
                None => {
                    let parker = Arc::<Parker>::default();
                    // SAFETY: as above.
                    if unsafe { word.wait_for(Joiner::Thread(parker.clone())) }.is_ok() {
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
        result.expect(TAKEN)
    }

    /// The result if the task has ended, as [`join`](JoinHandle::join) gives it; the handle remains, without it. In a forked child an
    /// unfinished task gives the error. Neither suspends nor blocks.
    ///
    /// # Panics
    /// If it has given the result before.
    pub fn try_join(&mut self) -> Option<std::thread::Result<T>> {
        if !self.task.header().join.is_complete() {
            return forked().then(|| Err(never()));
        }
        // SAFETY: complete, so settled, and only the handle takes the result from then on.
        Some(unsafe { take_result::<T>(self.task.raw()) }.expect(TAKEN))
    }

    /// Has `watcher` told of the end, once, and nobody else: who was to be told before is not, from now on. False: the task has ended, and
    /// nobody is told.
    ///
    /// # Panics
    /// In the task itself, which would wait for its own end.
    pub fn tell(&mut self, watcher: Arc<dyn Watcher>, word: u32) -> bool {
        with_current(|current| current.into_iter().for_each(|me| self.is_not(me)));
        let joins = &self.task.header().join;
        // SAFETY: the only handle.
        drop(unsafe { joins.take_back() });
        // SAFETY: and it has named nobody any more. (Once the task is complete nobody else looks there either.)
        !joins.is_complete() && unsafe { joins.wait_for(Joiner::Watcher(watcher, word)) }.is_ok()
    }

    /// Nobody is told of the end from now on. False: the task has ended, and who was to be told has been, or is being.
    pub fn untell(&mut self) -> bool {
        let joins = &self.task.header().join;
        // SAFETY: the only handle.
        drop(unsafe { joins.take_back() });
        !joins.is_complete()
    }

    /// # Panics
    /// If it is.
    fn is_not(&self, me: &Task) {
        assert!(*me != self.task, "a task cannot join itself: it would wait for its own end");
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
        // SAFETY: the only handle.
        drop(unsafe { header.join.take_back() });
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
