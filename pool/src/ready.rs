//! What waits in a run queue, in one word: a slot of a queue is then written and read as a whole.

use ec_channel::HandlerCall;
use ec_tasks::Runnable;
use std::mem::ManuallyDrop;

/// A task that can go on, or the handler of an event that is complete. Dropped, it is left where it is: dropping a
/// task that is suspended would have to unwind its stack.
pub(crate) struct Ready(usize);

/// In words that are not of tasks, which are aligned.
const CALL: usize = 1;

/// A [`Ready`] taken apart.
pub(crate) enum What {
    Task(Runnable),
    Call(Box<HandlerCall>),
}

impl Ready {
    #[inline]
    pub(crate) fn task(task: Runnable) -> Ready {
        Ready(task.into_raw())
    }

    pub(crate) fn call(call: HandlerCall) -> Ready {
        Ready(Box::into_raw(Box::new(call)) as usize | CALL)
    }

    /// A task that has never run?
    #[inline]
    pub(crate) fn is_new(&self) -> bool {
        self.is_task_that(Runnable::is_new)
    }

    /// A task that has blocked its thread in its last run?
    #[inline]
    pub(crate) fn has_blocked(&self) -> bool {
        self.is_task_that(Runnable::is_noted)
    }

    #[inline]
    fn is_task_that(&self, is: impl FnOnce(&Runnable) -> bool) -> bool {
        // SAFETY: the word is turned back for a look only: it is not dropped.
        self.0 & CALL == 0 && is(&ManuallyDrop::new(unsafe { Runnable::from_raw(self.0) }))
    }

    #[inline]
    pub(crate) fn what(self) -> What {
        if self.0 & CALL == 0 {
            // SAFETY: made in `task`; `self` is used up.
            What::Task(unsafe { Runnable::from_raw(self.0) })
        } else {
            // SAFETY: made in `call`; `self` is used up.
            What::Call(unsafe { Box::from_raw((self.0 & !CALL) as *mut HandlerCall) })
        }
    }
}
