//! Calls that the kernel or libc can only do blocking, such as a name look-up, for tasks.
//!
//! A task puts its closure into the queue of the [helper threads](helpers) and suspends. A helper runs the closure and wakes the task.
//! On a plain thread the closure runs where it is.
//!
//! Whoever takes the closure out of its [`Call`] has it alone: a helper to run it, or the waiter that goes its way (a cancel, a
//! deadline) to drop it unrun. That waiter takes the call out of the queue, too, so that nobody queues behind it. A closure that runs
//! already is finished, and its result dropped.

mod helpers;

use ec_pool::wait::{self, Stop};
use ec_tasks::lock::Mutex;
use ec_tasks::{Task, Tokens, WaitKind};
use helpers::{HELPERS, Helpers, Job};
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
    let outcome = call.outcome.lock().take();
    match outcome.expect("the wait ends when there is an outcome") {
        Ok(value) => Ok(value),
        Err(panic) => resume_unwind(panic),
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
    /// Here, and not under the lock, since what the closure holds is the program's.
    fn drop_closure(&self) {
        let f = self.f.lock().take();
        drop(f);
    }
}

impl<F: FnOnce() -> T + Send, T: Send> Job for Call<F, T> {
    fn run(&self) {
        if ec_pool::is_abandoned(&self.waiter) {
            return self.drop_closure();
        }
        let f = self.f.lock().take();
        let Some(f) = f else { return };
        let outcome = catch_unwind(AssertUnwindSafe(f));
        // (Nothing was there, so that nothing is dropped under the lock.)
        self.outcome.lock().replace(outcome);
        self.filled.store(true, Ordering::Release);
        self.waiter.wake(Tokens::SYNC);
    }
}

#[cfg(test)]
mod tests;
