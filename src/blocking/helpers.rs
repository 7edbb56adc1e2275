//! Threads that run what blocks.
//!
//! **They grow** while all are busy: a job that finds no idle helper has one started, up to [`MOST`]. One at a time is being started,
//! and it has the next one started before it runs its job. So a burst of short jobs gets few helpers, since the first ones come back
//! meanwhile, and slow jobs get one each.
//!
//! **They shrink.** The helper that went idle last is called first. One that nobody has called for [`IDLE`] leaves.
//!
//! **At the bound** a job waits in the queue. Its waiter can withdraw it.
//!
//! **If the system gives no thread** the helpers that exist come to the job in their turn. If there is none, whoever submits does what
//! waits, with its core handed over.

use crate::queue::Queue;
use ec_channel::line::Place;
use ec_pool::quietly;
use ec_tasks::lock::{Condvar, Mutex, MutexGuard};
use ec_tasks::room::lock_with_room;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// As Go's limit (500) and tokio's (512): many more than slow name servers need, and few enough for a process's threads.
const MOST: usize = 512;
const IDLE: Duration = Duration::from_secs(2);

pub(super) static HELPERS: Helpers = Helpers::new(MOST, IDLE);

/// What a helper does once. What it unwinds with is dropped.
pub(super) trait Job: Send + Sync {
    fn run(&self);
}

pub(super) struct Helpers {
    state: Mutex<State>,
    most: usize,
    keep: Duration,
}

struct State {
    jobs: Queue<Arc<dyn Job>>,
    /// Those that wait to be called, the last one last.
    idle: Vec<Arc<Bell>>,
    /// Helpers on the way to the queue: called, or being started.
    coming: usize,
    /// One is being started.
    starting: bool,
    threads: usize,
}

#[derive(Default)]
struct Bell {
    called: AtomicBool,
    condvar: Condvar,
}

impl Helpers {
    pub(super) const fn new(most: usize, keep: Duration) -> Self {
        let state = State { jobs: Queue::new(), idle: Vec::new(), coming: 0, starting: false, threads: 0 };
        Helpers { state: Mutex::new(state), most, keep }
    }

    /// A helper will run it, as soon as there is one.
    pub(super) fn submit(&'static self, job: Arc<dyn Job>) -> Place {
        let mut state = lock_with_room(&self.state, |state| &mut state.jobs);
        let place = state.jobs.join(job);
        self.call_or_start(state);
        place
    }

    /// Takes `job` out of the queue, if it is still there.
    pub(super) fn withdraw(&self, place: Place, job: &dyn Job) {
        let mut state = self.state.lock();
        let mine = state.jobs.leave(place, |other| std::ptr::addr_eq(Arc::as_ptr(other), job));
        drop(state);
        drop(mine);
    }

    /// Sees to it that one more helper comes, if fewer are on the way than there are jobs.
    fn call_or_start(&'static self, mut state: MutexGuard<'_, State>) {
        if state.jobs.len() <= state.coming {
            return;
        }
        if let Some(helper) = state.idle.pop() {
            state.coming += 1;
            helper.called.store(true, Ordering::Relaxed);
            drop(state);
            return helper.condvar.notify_one();
        }
        if state.starting || state.threads == self.most {
            return;
        }
        state.threads += 1;
        state.coming += 1;
        state.starting = true;
        drop(state);
        let starting = Starting(self);
        let builder = std::thread::Builder::new().name("ec-helper".into());
        match ec_tasks::start_thread(builder, || self.serve()) {
            Ok(_) => mem::forget(starting),
            Err(error) => {
                drop(starting);
                self.without_a_thread(&error);
            }
        }
    }

    #[cold]
    fn without_a_thread(&self, error: &std::io::Error) {
        if self.state.lock().threads > 0 {
            return;
        }
        // No helper will ever come: better to block this thread than to wait for ever.
        quietly!(warn, "no helper thread ({error}): a worker does the work itself");
        ec_pool::blocking(|| {
            loop {
                let job = self.state.lock().jobs.pop();
                let Some(job) = job else { return };
                do_it(job);
            }
        });
    }

    /// The life of a helper.
    fn serve(&'static self) {
        let bell = Arc::<Bell>::default();
        let mut state = lock_with_room(&self.state, |state| &mut state.idle);
        state.starting = false;
        loop {
            state.coming -= 1;
            while let Some(job) = state.jobs.pop() {
                self.call_or_start(state);
                do_it(job);
                if ec_tasks::forked() {
                    // The job has forked, and returned here in the child.
                    ec_tasks::end_child();
                }
                state = lock_with_room(&self.state, |state| &mut state.idle);
            }
            state.idle.push(bell.clone());
            let end = Instant::now() + self.keep;
            while !bell.called.load(Ordering::Relaxed) {
                let late = bell.condvar.wait_until(&mut state, end);
                if late && !bell.called.load(Ordering::Relaxed) {
                    state.idle.retain(|other| !Arc::ptr_eq(other, &bell));
                    state.threads -= 1;
                    return;
                }
            }
            bell.called.store(false, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.state.lock().threads
    }

    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.state.lock().jobs.len()
    }
}

/// What it holds is the program's: its destructor may panic, too.
fn do_it(job: Arc<dyn Job>) {
    ec_tasks::catch_quietly(|| job.run());
    ec_tasks::drop_quietly(job);
}

/// A helper that is being started. Dropped, it is not: also if that unwinds.
struct Starting(&'static Helpers);

impl Drop for Starting {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.threads -= 1;
        state.coming -= 1;
        state.starting = false;
    }
}
