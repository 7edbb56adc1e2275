//! The handle of a task, and waiting for its end.

#![allow(unsafe_code)]

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::cell::take_result;
use crate::task::{FINISHED, JoinWord, Joiner, Parker, Task, TaskId, Tokens, WaitKind, Watcher};
use crate::util::forked::forked;
use crate::wait::{begin_wait, end_wait, suspend, with_current};

static JOIN: WaitKind =
    WaitKind { name: "join", cancel: None, describe: |token, _| format!("the end of task {token}") };

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
    pub fn join(mut self) -> std::thread::Result<T> {
        self.wait_by(None, |end| {
            begin_wait(end.kind(), end.task(), 0);
            while !end.is_there() {
                suspend(Tokens::SYNC);
            }
            end_wait();
        });
        let result = self.take();
        if !self.task.header().join.is_complete() {
            return result;
        }
        // What remains of this handle is its reference: there is nothing left to detach. (Taken apart before anything is dropped: what
        // that runs may unwind.)
        let taken = ManuallyDrop::new(self);
        // SAFETY: read out once, the handle itself is never dropped.
        drop(unsafe { std::ptr::read(&taken.task) });
        result
    }

    /// Waits for the task's end, as [`join`](Self::join) does, or gives up. A task waits by `suspended`: it
    /// [announces](begin_wait) that, and suspends until the [end](End) is there, or returns before. A plain thread waits until `deadline`
    /// at the latest. True: the end is there, and [`take`](Self::take) gives the result. In a forked child it always is.
    ///
    /// # Panics
    /// In the task itself, which would wait for its own end.
    pub fn wait_by(&mut self, deadline: Option<Instant>, suspended: impl FnOnce(&End<'_>)) -> bool {
        let word = &self.task.header().join;
        if word.is_complete() || forked() {
            return true;
        }
        // (Who was to be told. Also by a wait whose frame was leaked, in a coroutine of another crate.)
        // SAFETY: of the only handle, which is borrowed as `mut`.
        drop(unsafe { word.take_back() });
        with_current(|current| match current {
            Some(me) => {
                self.is_not(me);
                let waits = Withdraws(word);
                // SAFETY: as above; nobody is named any more.
                if unsafe { word.wait_for(Joiner::Task(me.clone())) }.is_ok() {
                    suspended(&End { word, task: self.task.id() });
                }
                drop(waits);
            }
            None => {
                let parker = Arc::<Parker>::default();
                let waits = Withdraws(word);
                // SAFETY: as above.
                if unsafe { word.wait_for(Joiner::Thread(parker.clone())) }.is_ok() {
                    match deadline {
                        None => parker.wait_while(|| !word.is_complete()),
                        Some(at) => parker.wait_while_until(|| !word.is_complete(), at),
                    }
                }
                drop(waits);
            }
        });
        word.is_complete()
    }

    /// The result of the task, whose end is [there](Self::wait_by).
    ///
    /// # Panics
    /// If it is not there, or was taken before.
    pub fn take(&mut self) -> std::thread::Result<T> {
        if !self.task.header().join.is_complete() {
            assert!(forked(), "the task to join has not ended");
            return Err(never());
        }
        // SAFETY: complete, so settled, and only the handle, which is borrowed as `mut`, takes the result from then on.
        let result = unsafe { take_result::<T>(self.task.raw()) };
        result.expect("the result of a task is there once, and was taken")
    }

    /// The result if the task has ended, as [`join`](JoinHandle::join) gives it; the handle remains, without it. In a forked child an
    /// unfinished task gives the error. Neither suspends nor blocks.
    ///
    /// # Panics
    /// If it has given the result before.
    pub fn try_join(&mut self) -> Option<std::thread::Result<T>> {
        if !self.task.header().join.is_complete() && !forked() {
            return None;
        }
        Some(self.take())
    }

    /// Has `watcher` told of the end, once, and nobody else: who was to be told before is not, from now on. False: the task has ended, and
    /// nobody is told.
    ///
    /// # Panics
    /// In the task itself, which would wait for its own end.
    pub fn tell(&mut self, watcher: Arc<dyn Watcher>, word: u32) -> bool {
        self.is_not_of_caller();
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
    /// In the task itself, which would wait for its own end.
    pub fn is_not_of_caller(&self) {
        with_current(|current| current.into_iter().for_each(|me| self.is_not(me)));
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

/// The end of a task for which another one waits. Whoever brings it about wakes that one with [`Tokens::SYNC`] afterwards.
pub struct End<'a> {
    word: &'a JoinWord<Joiner>,
    task: TaskId,
}

impl End<'_> {
    /// It has come.
    pub fn is_there(&self) -> bool {
        self.word.is_complete()
    }

    /// What is to be announced as the kind of such a wait ...
    pub fn kind(&self) -> &'static WaitKind {
        &JOIN
    }

    /// ... and of what.
    pub fn task(&self) -> u64 {
        self.task.as_u64()
    }
}

impl fmt::Debug for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End").field("task", &self.task).field("is_there", &self.is_there()).finish()
    }
}

/// Nobody waits for the end any more, from here on.
struct Withdraws<'a>(&'a JoinWord<Joiner>);

impl Drop for Withdraws<'_> {
    fn drop(&mut self) {
        if !self.0.is_complete() {
            // SAFETY: made by the handle, while it is borrowed as `mut`.
            drop(unsafe { self.0.take_back() });
        }
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
