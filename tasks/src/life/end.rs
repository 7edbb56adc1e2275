//! The end of a task, whatever it ran on.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::task::{FINISHED, Header, Joiner, Scheduler, Tokens, drop_ref, member_of, registry};
use crate::util::foreign::drop_quietly;
use crate::util::forked::forked;

thread_local! {
    /// This is the end of a dedicated task's thread.
    static OVER: Cell<bool> = const { Cell::new(false) };
}

/// The end of any task: nothing of it is left but the result. Gives up the run reference. `foreign`: code of the program's may run here.
pub(crate) fn ended(header: NonNull<Header>, foreign: bool) {
    if forked() {
        // Who waits for it, and who schedules it, are the parent's: their locks may be held by threads that are not here.
        return;
    }
    // SAFETY: the caller has the run reference, until `drop_ref`.
    unsafe {
        let task = header.as_ref();
        registry::remove(header);
        // Before the scheduler knows: whoever learns of the end from that finds that the handle says the same.
        task.phase.store(FINISHED, Ordering::Release);
        task.scheduler.task_finished(task.id);
        // Its closure is gone, and so is its result, or it is the handle's: it borrows nothing. (Before who joins it goes on, and finds
        // it still there.)
        if let Some(member) = member_of(header) {
            member.leave();
        }
        match task.join.complete() {
            Some(Joiner::Task(joiner)) => joiner.wake(Tokens::SYNC),
            Some(Joiner::Thread(joiner)) => joiner.notify(),
            Some(Joiner::Watcher(watcher, word)) => watcher.ended(word, foreign),
            None => {}
        }
        drop_ref(header);
    }
}

/// As [`ended`], for a dedicated task at the end of its thread, at which even std's own thread-locals are gone.
pub(super) fn ended_with_its_thread(header: NonNull<Header>) {
    OVER.set(true);
    ended(header, false);
    OVER.set(false);
}

/// Drops a task's reference to its scheduler. It may be the last, so that code of the program's runs (a listener's destructor): what
/// it does is not the caller's affair.
pub(crate) fn let_go(reference: Arc<dyn Scheduler>) {
    if OVER.get() { reference.let_go() } else { drop_quietly(reference) }
}
