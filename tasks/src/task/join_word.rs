//! The end of a task as its handle sees it.
//!
//! Four flags in one word:
//!
//! * *settled*: the body is over, and the result lies there;
//! * *detached*: the handle was dropped;
//! * *complete*: the stack is recycled too, and nothing of the task is left;
//! * *waited for*: somebody joins, and has said whom to tell. It may take that back, as long as the task is not complete.
//!
//! Whoever comes second, the one that settles or the one that detaches, drops the result. The joiner waits for
//! *complete*.

#![allow(unsafe_code)]

use super::sync::{AtomicU32, Ordering, UnsafeCell};

const SETTLED: u32 = 1;
const DETACHED: u32 = 2;
const COMPLETE: u32 = 4;
const WAITED_FOR: u32 = 8;

/// See the module. `W` is who waits for the end.
pub(crate) struct JoinWord<W> {
    word: AtomicU32,
    /// Written by the joiner before `WAITED_FOR`, read by the completer after it.
    joiner: UnsafeCell<Option<W>>,
}

impl<W> JoinWord<W> {
    pub(crate) fn new() -> Self {
        JoinWord { word: AtomicU32::new(0), joiner: UnsafeCell::new(None) }
    }

    /// The result is there. True if the handle is gone: then the caller drops it.
    pub(crate) fn settle(&self) -> bool {
        self.word.fetch_or(SETTLED, Ordering::AcqRel) & DETACHED != 0
    }

    /// The handle is gone. True if the result is there: then the caller drops it.
    pub(crate) fn detach(&self) -> bool {
        self.word.fetch_or(DETACHED, Ordering::AcqRel) & SETTLED != 0
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.word.load(Ordering::Relaxed) & DETACHED != 0
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.word.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// Nothing of the task is left. Gives who is to be told.
    pub(crate) fn complete(&self) -> Option<W> {
        if self.word.fetch_or(COMPLETE, Ordering::AcqRel) & WAITED_FOR == 0 {
            return None;
        }
        // SAFETY: the joiner wrote it before the flag that we have seen, and does not touch it again.
        self.joiner.with_mut(|joiner| unsafe { (*joiner).take() })
    }

    /// Says whom [`complete`](JoinWord::complete) shall give. False if that has been called already.
    ///
    /// # Safety
    /// Called by the only handle.
    pub(crate) unsafe fn wait_for(&self, joiner: W) -> bool {
        if self.word.load(Ordering::Relaxed) & WAITED_FOR != 0 {
            // A wait whose frame was leaked (a coroutine of another crate) has not done so.
            // SAFETY: the caller's promise.
            drop(unsafe { self.withdraw() });
        }
        if self.is_complete() {
            return false;
        }
        // SAFETY: without `WAITED_FOR` the completer does not look there.
        self.joiner.with_mut(|place| unsafe { *place = Some(joiner) });
        self.word.fetch_or(WAITED_FOR, Ordering::AcqRel) & COMPLETE == 0
    }

    /// Takes back what [`wait_for`](JoinWord::wait_for) has said. `None`: the task is complete, and whoever has completed it has that.
    ///
    /// # Safety
    /// Called by the only handle.
    pub(crate) unsafe fn withdraw(&self) -> Option<W> {
        if self.word.fetch_and(!WAITED_FOR, Ordering::AcqRel) & (WAITED_FOR | COMPLETE) != WAITED_FOR {
            return None;
        }
        // SAFETY: the completer, if there is one by now, has found no `WAITED_FOR`, and does not look there.
        self.joiner.with_mut(|joiner| unsafe { (*joiner).take() })
    }
}
