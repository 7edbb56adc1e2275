//! Calls that the kernel or libc can only do blocking, such as a name look-up, for tasks.
//!
//! A task puts its closure into the queue of the channel's helper threads and suspends. A helper runs the closure and wakes the task.
//! On a plain thread the closure runs where it is. If the system gives no thread, a task's worker runs it, with its core handed over.
//!
//! Whoever takes the closure out of its [`Call`] has it alone: a helper to run it, or the waiter that goes its way (a cancel, a
//! deadline) to drop it unrun. That waiter takes the call out of the queue, too, so that nobody queues behind it. A closure that runs
//! already is finished, and its result dropped.

use ec_channel::helpers::{HELPERS, Helpers, Here, Job};
use ec_pool::quietly;
use ec_pool::wait::{self, Stop};
use ec_tasks::lock::Mutex;
use ec_tasks::{Task, Tokens, WaitKind};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs `f` on a helper thread and returns its result; a panic in `f` comes out here. In a task this
/// suspends and is a cancellation point; a plain thread runs `f` itself.
pub(crate) fn run<T: Send + 'static>(
    kind: &'static WaitKind,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    run_on(&HELPERS, kind, f)
}

fn run_on<T: Send + 'static>(
    helpers: &'static Helpers,
    kind: &'static WaitKind,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    wait::checkpoint()?;
    let Some(task) = ec_tasks::current() else { return Ok(f()) };
    let call = Arc::new(Call {
        f: Mutex::new(Some(f)),
        outcome: Mutex::new(None),
        filled: AtomicBool::new(false),
        waiter: task,
    });
    let place = helpers.submit(call.clone());
    if let Err(stop) = wait::until(kind, 0, None, true, &call.filled) {
        helpers.withdraw(place, &*call);
        call.drop_closure();
        return Err(Stop::deliver(stop));
    }
    let (outcome, f) = (call.outcome.lock().take(), call.f.lock().take());
    match (outcome, f) {
        (Some(Ok(value)), _) => Ok(value),
        (Some(Err(panic)), _) => resume_unwind(panic),
        // No helper will ever come: better to block this thread than to wait for ever.
        (None, Some(f)) => Ok(ec_pool::blocking(f)),
        (None, None) => {
            unreachable!("the wait ends when there is an outcome, or none is to come of a helper")
        }
    }
}

/// A closure that a task waits for, and what came of it.
struct Call<F, T> {
    f: Mutex<Option<F>>,
    outcome: Mutex<Option<std::thread::Result<T>>>,
    filled: AtomicBool,
    waiter: Task,
}

impl<F, T> Call<F, T> {
    /// The waiter is to look.
    fn fill(&self) {
        self.filled.store(true, Ordering::Release);
        self.waiter.wake(Tokens::SYNC);
    }

    /// Here, and not under the lock, since what the closure holds is the program's.
    fn drop_closure(&self) {
        let f = self.f.lock().take();
        drop(f);
    }
}

impl<F: FnOnce() -> T + Send, T: Send> Job for Call<F, T> {
    fn run(&self, _here: &Here) {
        if ec_pool::is_abandoned(&self.waiter) {
            return self.drop_closure();
        }
        let f = self.f.lock().take();
        let Some(f) = f else { return };
        let outcome = catch_unwind(AssertUnwindSafe(f));
        // (Nothing was there, so that nothing is dropped under the lock.)
        self.outcome.lock().replace(outcome);
        self.fill();
    }

    fn refused(&self, why: &io::Error) {
        quietly!(warn, "no helper thread ({why}): a worker does the work itself");
        self.fill();
    }
}

#[cfg(test)]
mod tests;
