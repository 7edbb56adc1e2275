//! What waits in a run queue, in one word. So a slot of a queue is written and read as a whole.

#![allow(unsafe_code)]

use crate::core::run_queue::{Entry, Link};
use ec_channel::HandlerCall;
use ec_tasks::Runnable;
use std::mem::ManuallyDrop;
use std::sync::atomic::AtomicUsize;

/// A task that can go on, or the handler of an event that is complete. Dropped, it is left where it is: dropping a
/// task that is suspended would have to unwind its stack.
pub(crate) struct Ready(usize);

/// In words that are not of tasks, which are aligned.
const CALL: usize = 1;

/// A handler's call while it is queued.
struct Queued {
    link: Link,
    call: HandlerCall,
}

/// A [`Ready`] taken apart.
pub(crate) enum What {
    Task(Runnable),
    Call(HandlerCall),
}

impl Ready {
    #[inline]
    pub(crate) fn task(task: Runnable) -> Ready {
        Ready(task.into_raw())
    }

    pub(crate) fn call(call: HandlerCall) -> Ready {
        let queued = Queued { link: [const { AtomicUsize::new(0) }; 2], call };
        Ready(Box::into_raw(Box::new(queued)) as usize | CALL)
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
    pub(crate) fn into_kind(self) -> What {
        if self.0 & CALL == 0 {
            // SAFETY: made in `task`; `self` is used up.
            What::Task(unsafe { Runnable::from_raw(self.0) })
        } else {
            // SAFETY: made in `call`; `self` is used up.
            What::Call(unsafe { Box::from_raw((self.0 & !CALL) as *mut Queued) }.call)
        }
    }
}

// SAFETY: the word is what `Ready` is. A task has a link of its own, a call has one beside it, and both are there until `what` turns the
// word back.
unsafe impl Entry for Ready {
    type Words = usize;

    #[inline(always)]
    fn into_words(self) -> usize {
        self.0
    }

    #[inline(always)]
    unsafe fn from_words(words: usize) -> Ready {
        Ready(words)
    }

    #[inline(always)]
    unsafe fn from_name(name: usize) -> Ready {
        Ready(name)
    }

    #[inline]
    unsafe fn link<'a>(name: usize) -> &'a Link {
        // SAFETY: the entry waits while the link is used, by contract, so it is not turned back.
        unsafe {
            if name & CALL == 0 {
                Runnable::queue_link(name)
            } else {
                &(*((name & !CALL) as *const Queued)).link
            }
        }
    }
}
