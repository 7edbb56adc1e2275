//! What a task waits for, announced for `cancel` and for the dump.
//!
//! It is a sequence lock of atomics in the header. The task alone writes it. An odd number means that a wait is
//! announced. Readers never block the task; they try again if it changed under them.

#![allow(unsafe_code)]

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

use super::header::Task;
use crate::util::coarse;

/// A kind of wait: how to end it early and how to describe it. One static for each.
pub struct WaitKind {
    /// A short name: "read", "sleep", "join".
    pub name: &'static str,
    /// Ends the wait early, if that is possible.
    pub cancel: Option<CancelWait>,
    /// Words for people, from the token and the detail (a descriptor, for instance). They are shown after the name and a colon, so they
    /// do not repeat it; with none the name stands alone. Called on the thread of whoever asks what
    /// the task does, with no lock held; what it panics is not seen.
    pub describe: fn(token: u64, detail: u64) -> String,
}

/// How a wait is ended early; see [`WaitKind`].
#[derive(Clone, Copy)]
pub struct CancelWait(pub(crate) fn(token: u64, task: &Task));

impl CancelWait {
    /// `cancel` is called on the canceller's thread.
    ///
    /// # Safety
    /// It may come when the wait of that token has just ended: a stale token does nothing. It does not wait for anything, nor suspend: a
    /// shutdown, for one, has a limit of time, and cancels one task after the other.
    pub const unsafe fn new(cancel: fn(token: u64, task: &Task)) -> CancelWait {
        CancelWait(cancel)
    }
}

pub(crate) struct WaitSlot {
    sequence: AtomicU32,
    kind: AtomicPtr<WaitKind>,
    token: AtomicU64,
    detail: AtomicU64,
    /// The coarse clock, in milliseconds.
    since: AtomicU64,
}

/// An announced wait, read consistently.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) kind: &'static WaitKind,
    pub(crate) token: u64,
    pub(crate) detail: u64,
    /// On the coarse clock.
    pub(crate) since: u64,
}

impl WaitSlot {
    pub(crate) fn new() -> Self {
        WaitSlot {
            sequence: AtomicU32::new(0),
            kind: AtomicPtr::new(ptr::null_mut()),
            token: AtomicU64::new(0),
            detail: AtomicU64::new(0),
            since: AtomicU64::new(0),
        }
    }

    /// By the task alone.
    pub(crate) fn begin(&self, kind: &'static WaitKind, token: u64, detail: u64) {
        self.end();
        let sequence = self.sequence.load(Ordering::Relaxed);
        // A reader that sees a field of this wait sees that the one before is over.
        fence(Ordering::Release);
        self.kind.store(ptr::from_ref(kind).cast_mut(), Ordering::Relaxed);
        self.token.store(token, Ordering::Relaxed);
        self.detail.store(detail, Ordering::Relaxed);
        self.since.store(coarse::now(), Ordering::Relaxed);
        // SeqCst: the task looks for a cancel next (see `cancel`).
        self.sequence.store(sequence.wrapping_add(1), Ordering::SeqCst);
    }

    /// By the task alone.
    pub(crate) fn end(&self) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        if sequence & 1 == 1 {
            self.sequence.store(sequence.wrapping_add(1), Ordering::Release);
        }
    }

    /// What the task waits for now, if it has said so.
    pub(crate) fn read(&self) -> Option<Wait> {
        loop {
            // SeqCst: the canceller has set its flag before (see `cancel`).
            let sequence = self.sequence.load(Ordering::SeqCst);
            if sequence & 1 == 0 {
                return None;
            }
            let kind = self.kind.load(Ordering::Relaxed);
            let token = self.token.load(Ordering::Relaxed);
            let detail = self.detail.load(Ordering::Relaxed);
            let since = self.since.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if self.sequence.load(Ordering::Relaxed) == sequence {
                // SAFETY: an announced wait's kind was a `&'static`.
                return Some(Wait { kind: unsafe { &*kind }, token, detail, since });
            }
        }
    }
}
