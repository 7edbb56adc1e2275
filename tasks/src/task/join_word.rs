//! The end of a task as its handle sees it.
//!
//! Four flags in one word:
//!
//! * *settled*: the body is over, and the result lies there;
//! * *detached*: the handle was dropped;
//! * *complete*: the stack is recycled too, and nothing of the task is left;
//! * *waited for*: the handle has said whom to tell.
//!
//! Whoever comes second, the one that settles or the one that detaches, drops the result. Who waits for the end waits for
//! *complete*. The handle may take back whom it has named, and name another: what lies in the place is the handle's as long as
//! *waited for* is not set, and the completer's from the moment that both flags are.

#![allow(unsafe_code)]

use super::sync::{AtomicU32, Ordering, UnsafeCell};

const SETTLED: u32 = 1;
const DETACHED: u32 = 2;
const COMPLETE: u32 = 4;
const WAITED_FOR: u32 = 8;

/// See the module. `W` is who waits for the end.
pub(crate) struct JoinWord<W> {
    word: AtomicU32,
    /// Written by the handle before `WAITED_FOR`, read by the completer after it.
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
        // SAFETY: the handle wrote it before the flag that we have seen, and does not touch it again: it finds `COMPLETE`.
        self.joiner.with_mut(|joiner| unsafe { (*joiner).take() })
    }

    /// Says whom [`complete`](JoinWord::complete) shall give. Gives it back if that has been called already.
    ///
    /// # Safety
    /// By the only handle, which has named nobody, or has [taken back](JoinWord::take_back) whom it had.
    pub(crate) unsafe fn wait_for(&self, joiner: W) -> Result<(), W> {
        // SAFETY: without `WAITED_FOR` the completer does not look there.
        self.joiner.with_mut(|place| unsafe { *place = Some(joiner) });
        if self.word.fetch_or(WAITED_FOR, Ordering::AcqRel) & COMPLETE == 0 {
            return Ok(());
        }
        // SAFETY: it was complete without the flag, so that nobody else has looked there, or ever will.
        self.joiner.with_mut(|place| unsafe { (*place).take() }).map_or(Ok(()), Err)
    }

    /// Nobody is to be told any more. Gives who was to be, if [`complete`](JoinWord::complete) does not give it, or has.
    ///
    /// # Safety
    /// By the only handle.
    pub(crate) unsafe fn take_back(&self) -> Option<W> {
        // (Only the handle sets and clears this flag.)
        if self.word.load(Ordering::Relaxed) & WAITED_FOR == 0 {
            return None;
        }
        if self.word.fetch_and(!WAITED_FOR, Ordering::AcqRel) & COMPLETE != 0 {
            return None;
        }
        // SAFETY: the flag is gone, and the completer has not been here: it will not look there.
        self.joiner.with_mut(|place| unsafe { (*place).take() })
    }
}
