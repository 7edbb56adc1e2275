//! Waking a task.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use crate::task::{Header, Kind, Runnable, Task, Tokens};
use crate::util::forked::forked;
use crate::wait::running;
use crate::worker::schedule;

impl Task {
    /// Lets the task's next (or present) [`park`](crate::park) return. Tokens do not add up. In a forked child the parent's tasks do
    /// not run, and only the one that has forked is there: it may unpark itself.
    pub fn unpark(&self) {
        self.wake(Tokens::PARK);
    }

    /// Leaves tokens at the task and makes it ready if it waits for one of them.
    ///
    /// `Tokens::OP` is left out: an operation's completion is its driver's alone to tell, by
    /// [`wake_raw`], or a task might leave a stack on which the kernel still writes.
    pub fn wake(&self, tokens: Tokens) {
        let tokens = tokens.without(Tokens::OP);
        if forked() {
            return wake_in_child(self, tokens);
        }
        if !tokens.is_empty() {
            // SAFETY: this reference keeps the task, so that nothing is asked of the token.
            unsafe { wake_header(self.raw(), tokens) };
        }
    }
}

/// A task that wakes up would be queued, under locks that threads of the parent's may hold here for ever. The one that has forked is
/// a plain thread now, and parks as such.
#[cold]
fn wake_in_child(task: &Task, tokens: Tokens) {
    if tokens.contains(Tokens::PARK) && running() == Some(task.raw()) {
        std::thread::current().unpark();
    }
}

/// Wakes a task through a borrowed pointer.
///
/// The last access to the task is the transition of its park word; if that makes it ready, the
/// caller has received the right to run it and hands that to the scheduler.
///
/// # Safety
/// `task` came from [`Task::as_ptr`], and until this call's token has been taken the task cannot
/// end: for [`Tokens::OP`] the task waits until this one wake comes; for other tokens the caller
/// holds a [`Task`].
pub unsafe fn wake_raw(task: *const (), tokens: Tokens) {
    if let Some(header) = NonNull::new(task.cast_mut().cast::<Header>()) {
        // SAFETY: the caller's promise.
        unsafe { wake_header(header, tokens) };
    }
}

/// # Safety
/// As for [`wake_raw`].
unsafe fn wake_header(header: NonNull<Header>, tokens: Tokens) {
    // SAFETY: alive until the token is there. The parker is taken out before: a dedicated
    // task's thread may go on, and end, as soon as the word says so.
    unsafe {
        let task = header.as_ref();
        if task.kind == Kind::Dedicated {
            let parker = task.parker.clone();
            if task.word.wake(tokens.bits())
                && let Some(parker) = parker
            {
                parker.notify();
            }
        } else if task.word.wake(tokens.bits()) {
            // We have the run reference now.
            schedule(Runnable::from_header(header));
        }
    }
}
