//! Sections of a task in which somebody ends the blocking system call that it makes, when it is to stop. Who that is, and how, this crate does
//! not know: an [`Interrupter`] is installed. It is told when the task leaves its thread and when it is back on one, since it is the thread that
//! has to be reached, and when somebody cancels the task.
//!
//! That the task is in a section is a bit beside those of its cancel. So one of the two sees the other: who cancels finds the task where it has
//! said it is to be found, or the task finds that it was cancelled.

#![allow(unsafe_code)]

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::current::{here, with_current};
use crate::task::{Header, Task};

/// Who ends the calls.
///
/// # Safety
/// As for a [`Scheduler`](crate::Scheduler): none of its functions suspends or panics, or calls code of others.
pub unsafe trait Interrupter: Sync {
    /// The current task, which is in a section, is about to leave this thread, or its own thread is about to sleep for it. Gives what is to be
    /// known when it is back.
    fn leaves(&self) -> Stay;

    /// The current task, which is in a section, is back, on this thread.
    fn is_back(&self, before: Stay);

    /// This task was asked to stop, and is in a section.
    fn cancelled(&self, task: &Task);
}

/// What an [`Interrupter`] notes of a task while that is on no thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stay {
    /// When its calls are to be ended, by a clock of the interrupter's.
    pub deadline: u64,
    /// By which signal.
    pub signal: i32,
    /// A cancel of the task ends them.
    pub cancel: bool,
    /// Whose else does, as whoever notes it counts them; 0: nobody's.
    pub groups: [usize; GROUPS],
}

/// So many others are told apart.
pub const GROUPS: usize = 4;

/// Null: there is none. (No `OnceLock`: a forked child would wait for a thread of its parent that is setting it.)
static INTERRUPTER: AtomicPtr<&'static dyn Interrupter> = AtomicPtr::new(ptr::null_mut());

fn interrupter() -> Option<&'static dyn Interrupter> {
    // SAFETY: null, or a reference that lives for good.
    unsafe { INTERRUPTER.load(Ordering::Acquire).as_ref() }.copied()
}

/// Who ends the calls of tasks in sections, for good. False: somebody does already.
///
/// # Safety
/// As that trait says.
pub unsafe fn set_interrupter(interrupter: &'static &'static dyn Interrupter) -> bool {
    let new = ptr::from_ref(interrupter).cast_mut();
    INTERRUPTER.compare_exchange(ptr::null_mut(), new, Ordering::Release, Ordering::Relaxed).is_ok()
}

/// Is the current task in a section? (Not if that was [left elsewhere](Task::end_section).)
pub fn in_section() -> bool {
    with_current(|task| {
        task.is_some_and(|task| task.header().cancel.in_section() && !task.header().cancel.section_is_over())
    })
}

/// The current task is in a section, and what the [`Interrupter`] needs to find it has been noted before. Gives whether a cancel waits to be
/// delivered.
pub fn enter_section() -> bool {
    with_current(|task| task.is_some_and(|task| task.header().cancel.enter_section()))
}

impl Task {
    /// Is the task in a section, on a thread or not?
    #[doc(hidden)]
    pub fn is_in_section(&self) -> bool {
        self.header().cancel.in_section()
    }

    /// The section is left. In another place than the task itself (a coroutine of somebody else's has gone on elsewhere) the task counts as in
    /// it until it leaves its thread.
    pub fn end_section(&self) {
        match here() {
            Some(here) if here == self.raw() => self.header().cancel.leave_section(),
            _ => self.header().cancel.end_section(),
        }
    }
}

/// Before the task leaves its thread. `None`: there is no section, or none any more.
#[inline]
pub(crate) fn leave(header: &Header) -> Option<Stay> {
    if header.cancel.in_section() { leave_section(header) } else { None }
}

#[cold]
fn leave_section(header: &Header) -> Option<Stay> {
    let stay = interrupter()?.leaves();
    if header.cancel.section_is_over() {
        header.cancel.leave_section();
        return None;
    }
    Some(stay)
}

/// When the task is on a thread again.
#[inline]
pub(crate) fn come_back(header: &Header, stay: Option<Stay>) {
    #[cold]
    fn come(header: &Header, stay: Stay) {
        if header.cancel.section_is_over() {
            header.cancel.leave_section();
        } else if let Some(interrupter) = interrupter() {
            interrupter.is_back(stay);
        }
    }
    if let Some(stay) = stay {
        come(header, stay);
    }
}

/// The end of the task: whatever has not been left (a coroutine that was forgotten in it) is.
pub(crate) fn end(header: &Header) {
    if leave(header).is_some() {
        header.cancel.leave_section();
    }
}

#[cold]
pub(super) fn cancelled(task: &Task) {
    if let Some(interrupter) = interrupter() {
        interrupter.cancelled(task);
    }
}
