//! How a task suspends.

#![allow(unsafe_code)]

use super::current::here;
use super::section;
use crate::task::{Header, Kind, Tokens};
use crate::util::crossing::assert_no_crossing;
use std::time::Instant;

/// Suspends the current task until a token of `accept` is there, takes those that are, and
/// returns them. A dedicated task blocks its thread instead. A token that is there already makes
/// it return at once.
///
/// # Panics
/// Outside a task, in a forked child, with nothing to wait for, and with [`Tokens::OP`]: that takes [`suspend_for_op`].
#[inline]
pub fn suspend(accept: Tokens) -> Tokens {
    assert!(!accept.contains(Tokens::OP), "a completion is taken by who has an operation in flight");
    wait(accept)
}

/// As [`suspend`], also for [`Tokens::OP`].
///
/// # Safety
/// If `accept` has `Tokens::OP`, the caller has an operation in flight (one that leaves that token at this task, once), and it is the task's only
/// one. (Or its completion would be taken for another's, which then goes on writing to a stack that has been left.)
#[inline]
pub unsafe fn suspend_for_op(accept: Tokens) -> Tokens {
    wait(accept)
}

#[inline]
fn wait(accept: Tokens) -> Tokens {
    assert!(!accept.is_empty(), "a wait for nothing would never end");
    assert_no_crossing("a suspension");
    let header = here().expect("only a task can be suspended");
    // SAFETY: the task that runs here; it is kept as long as it runs, and this is its own stack.
    let header = unsafe { header.as_ref() };
    loop {
        let taken = header.word.take(accept.bits());
        if taken != 0 {
            return Tokens::from_bits(taken);
        }
        if header.kind == Kind::Dedicated {
            block(header, accept);
        } else {
            // SAFETY: a task on a stack of its own, which runs here.
            unsafe { switch_out(header, accept.bits()) };
        }
    }
}

/// Blocks the thread of the dedicated task `header` until a token of `accept` is there.
fn block(header: &Header, accept: Tokens) {
    let parker = header.parker.as_ref().expect("a dedicated task has a parker");
    let stay = section::leave(header);
    header.thread_changes();
    if header.word.park(accept.bits()) {
        parker.wait_while(|| header.word.parked().is_some());
        header.thread_changes();
    }
    section::come_back(header, stay);
}

/// # Safety
/// It is of the task that runs here, which is on a stack of its own.
#[inline]
unsafe fn switch_out(header: &Header, accept: u32) {
    let stay = section::leave(header);
    // SAFETY: the caller's promise.
    unsafe { header.continuation.switch_out(accept) };
    section::come_back(header, stay);
}

/// As [`suspend_for_op`], in a dedicated task and until `end` at the latest: then there are no tokens. Its thread is its own, so it needs
/// nobody else's timer.
///
/// # Panics
/// As [`suspend`], and in a task that is not [dedicated](Kind::Dedicated).
///
/// # Safety
/// As [`suspend_for_op`].
#[cold]
pub unsafe fn suspend_for_op_until(accept: Tokens, end: Instant) -> Tokens {
    assert_no_crossing("a suspension");
    let header = here().expect("only a task can be suspended");
    // SAFETY: as in `wait`.
    let header = unsafe { header.as_ref() };
    let parker = header.parker.as_ref().expect("only a dedicated task has its thread to itself");
    let accept = accept.bits();
    let stay = section::leave(header);
    header.thread_changes();
    if header.word.park(accept | OVER) {
        parker.wait_while_until(|| header.word.parked().is_some(), end);
        header.thread_changes();
        // It takes itself back as a waker would, unless one was quicker.
        header.word.wake(OVER);
    }
    section::come_back(header, stay);
    Tokens::from_bits(header.word.take(accept | OVER) & !OVER)
}

/// The token that a task with a limit leaves at itself.
const OVER: u32 = 1 << 7;

/// Lets other tasks run. In a plain thread and a dedicated task: the system's yield.
#[inline]
pub fn yield_now() {
    assert_no_crossing("a yield");
    match here() {
        // SAFETY: the task that runs here.
        Some(header) if unsafe { header.as_ref() }.kind != Kind::Dedicated => {
            // SAFETY: it is on a stack of its own. Zero: not a wait.
            unsafe { switch_out(header.as_ref(), 0) };
        }
        _ => std::thread::yield_now(),
    }
}

/// Waits until somebody calls [`Task::unpark`](crate::Task::unpark) (or has since the last `park`). In a plain thread
/// this is [`std::thread::park`].
pub fn park() {
    if here().is_some() {
        suspend(Tokens::PARK);
    } else {
        std::thread::park();
    }
}
