//! Helper threads for what the kernel can only do blocking, such as a name lookup through libc.
//!
//! A task puts its closure into the queue and suspends. A helper takes the closure, runs it and wakes the
//! task. On a plain thread the closure runs where it is.
//!
//! There are at most [`MOST`] helpers. Each leaves when it has found nothing to do for [`IDLE`]. A waiter
//! that is cancelled goes its way: the helper finishes the closure and drops the result.

use ec_pool::quietly;
use ec_pool::wait::{self, Stop};
use ec_tasks::lock::{Condvar, Mutex};
use ec_tasks::room::lock_with_room;
use ec_tasks::{Task, Tokens, WaitKind};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Lookups of a slow name server take seconds each: enough of them to go on meanwhile.
const MOST: usize = 16;
const IDLE: Duration = Duration::from_secs(2);

static HELPERS: Helpers =
    Helpers { state: Mutex::new(State { jobs: VecDeque::new(), idle: 0, threads: 0 }), work: Condvar::new() };

struct Helpers {
    state: Mutex<State>,
    work: Condvar,
}

type Job = Box<dyn FnOnce() + Send>;

struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: usize,
}

/// Runs `f` on a helper thread and returns its result; a panic in `f` comes out here. In a task this
/// suspends and is a cancellation point; a plain thread runs `f` itself.
pub(crate) fn run<T: Send + 'static>(
    kind: &'static WaitKind,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    wait::checkpoint()?;
    let Some(task) = ec_tasks::current() else { return Ok(f()) };
    let slot = Arc::new(Slot { filled: AtomicBool::new(false), outcome: Mutex::new(None) });
    submit(job(slot.clone(), task, f));
    wait::until(kind, 0, None, true, &slot.filled).map_err(Stop::deliver)?;
    let outcome = slot.outcome.lock().take();
    match outcome.expect("the wait ends when the slot is filled") {
        Ok(value) => Ok(value),
        Err(panic) => resume_unwind(panic),
    }
}

struct Slot<T> {
    filled: AtomicBool,
    outcome: Mutex<Option<std::thread::Result<T>>>,
}

fn job<T: Send + 'static>(slot: Arc<Slot<T>>, task: Task, f: impl FnOnce() -> T + Send + 'static) -> Job {
    Box::new(move || {
        let outcome = catch_unwind(AssertUnwindSafe(f));
        // (Nothing was there, so that nothing is dropped under the lock.)
        slot.outcome.lock().replace(outcome);
        slot.filled.store(true, Ordering::Release);
        task.wake(Tokens::SYNC);
        // The result of a waiter that has gone is user data: its drop may panic.
        ec_tasks::drop_quietly(slot);
    })
}

fn submit(job: Job) {
    let mut state = lock_with_room(&HELPERS.state, |state| &mut state.jobs);
    state.jobs.push_back(job);
    if state.jobs.len() <= state.idle || state.threads == MOST {
        drop(state);
        HELPERS.work.notify_one();
        return;
    }
    state.threads += 1;
    drop(state);
    let builder = std::thread::Builder::new().name("ec-helper".into());
    if let Err(error) = ec_tasks::start_thread(builder, || HELPERS.serve())
        && HELPERS.one_less() == 0
    {
        // No helper will ever come: better to block this thread than to wait for ever.
        quietly!(warn, "no helper thread ({error}): a worker does the work itself");
        while let Some(job) = HELPERS.take() {
            job();
        }
    }
}

impl Helpers {
    fn take(&self) -> Option<Job> {
        self.state.lock().jobs.pop_front()
    }

    /// Counts a helper out; how many are left.
    fn one_less(&self) -> usize {
        let mut state = self.state.lock();
        state.threads -= 1;
        state.threads
    }

    fn serve(&self) {
        let mut state = self.state.lock();
        loop {
            while let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.state.lock();
            }
            state.idle += 1;
            let late = self.work.wait_until(&mut state, Instant::now() + IDLE);
            state.idle -= 1;
            if late && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}
