//! Who ends the system calls of tasks and threads that are in a section: one thread of the process.
//!
//! 1. A thread that enters a section says so in its record (`record.rs`), with the task it runs and the deadline around that. (`wait/interruptible.rs`
//!    says what a section is, and when a task in one enters and leaves.)
//! 2. A deadline may be earlier than the sender has planned to look (`plan.rs`), or somebody cancels the task: the sender is woken.
//! 3. The sender looks at all records. To who is cancelled, or beyond the deadline, it sends a signal, by the protocol of `word.rs`. It does so again
//!    each millisecond until the section is left: the thread may not have been in a call yet. But it sends none before the last one was handled.
//!    A call may not let itself be interrupted for as long as it likes, and the kernel would queue them.
//! 4. While there is nothing to do, it sleeps.
//!
//! It is a thread of its own, since all others may be what is to be ended: cores whose tasks block, dedicated tasks, threads without any pool.
//! A forked child has another one (`process.rs`).

mod clock;
mod plan;
mod process;
mod record;
mod word;

use crate::quietly;
use plan::NEVER;
use process::Process;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

pub(crate) use record::{Found, Kept, Record, Who};
pub(crate) use word::Seen;

use ec_channel::interrupt;

/// The signal of who has not chosen one; 0: none so far.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// What sections need is there: the sender, and a signal, which is `chosen` or else the one that is given. `None`, and the log is told why: there is
/// no such thing to be had.
#[inline]
pub(crate) fn signal(chosen: Option<i32>) -> Option<i32> {
    if !Process::here_or_new().is_some_and(Process::has_sender) {
        return None;
    }
    match (chosen, SIGNAL.load(Ordering::Relaxed)) {
        (Some(signal), _) => Some(signal),
        (None, 0) => {
            let found = interrupt::any_signal();
            if found.is_none() {
                quietly!(
                    warn,
                    "no real-time signal is left: blocking calls in interruptible sections will not be interrupted"
                );
            }
            SIGNAL.store(found.unwrap_or(0), Ordering::Relaxed);
            found
        }
        (None, signal) => Some(signal),
    }
}

/// One for this thread, which has entered its section with one that the program has taken since: it lets this one through. (It alone could change
/// what it lets through.)
fn another_signal(thread: i32, lost: i32) -> Option<i32> {
    // Those who come next take one that is there.
    let _ = SIGNAL.compare_exchange(lost, 0, Ordering::Relaxed, Ordering::Relaxed);
    interrupt::signal_open_in(thread)
}

/// What the clock of the sections shows at this time; `None` never comes.
pub(crate) fn clock_at(time: Option<Instant>) -> u64 {
    Process::here().map_or(NEVER, |process| process.clock.of(time))
}

/// The task is to be sent signals, if it is on a thread in a section.
pub(crate) fn cancelled(task: *const (), who: Who) {
    // (No task is on two.)
    if let Some(process) = Process::here()
        && process.records().any(|record| record.want(task, who))
    {
        process.ring();
    }
}
