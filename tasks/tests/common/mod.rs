//! A tiny scheduler for the tests: threads at one queue.
#![allow(dead_code)]

use std::any::Any;
use std::collections::VecDeque;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use ec_tasks::{JoinHandle, Kind, Outcome, Runnable, Scheduler, SpawnOptions, TaskId, own_thread_locals};
use ec_test_support::this_test_again;
use parking_lot::{Condvar, Mutex};

/// A kind that workers run: lean where a task with thread-locals of its own would be a thread.
pub fn migrating(kind: Kind) -> Kind {
    if kind == Kind::Own && own_thread_locals().is_err() { Kind::Lean } else { kind }
}

/// As `ec_tasks::spawn`, of a kind that workers run.
pub fn start<T: Send + 'static>(
    scheduler: Arc<dyn Scheduler>,
    mut options: SpawnOptions,
    f: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    options.kind = migrating(options.kind);
    // SAFETY: all is `Send` and borrows nothing; what runs as lean tasks where there are no others keeps
    // nothing that belongs to a thread.
    unsafe { ec_tasks::spawn_unchecked(scheduler, options, f) }
}

#[derive(Default)]
struct State {
    ready: VecDeque<Runnable>,
    closed: bool,
    asleep: usize,
}

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    more: Condvar,
    pub finished: AtomicUsize,
}

// SAFETY: `Workers` run each once; nothing waits for long, panics or calls others.
unsafe impl Scheduler for Queue {
    fn schedule(&self, task: Runnable) {
        let mut state = self.state.lock();
        state.ready.push_back(task);
        self.more.notify_one();
    }
    fn task_finished(&self, _: TaskId) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Queue {
    /// What is ready, if anything is.
    pub fn take(&self) -> Option<Runnable> {
        self.state.lock().ready.pop_front()
    }

    fn next(&self) -> Option<Runnable> {
        let mut state = self.state.lock();
        loop {
            match state.ready.pop_front() {
                Some(task) => return Some(task),
                None if state.closed => return None,
                None => {
                    ec_tasks::worker_sleeps();
                    state.asleep += 1;
                    self.more.wait(&mut state);
                    state.asleep -= 1;
                }
            }
        }
    }
}

pub struct Workers {
    pub queue: Arc<Queue>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// `count` threads; in a task, `current_context` is the thread's number, from 1.
    pub fn new(count: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let work = |number: usize| {
            let queue = queue.clone();
            move || {
                // SAFETY: dropped at the thread's end; the tests that set signal stacks put them back.
                let _guard = unsafe { ec_tasks::prepare_worker_thread(queue.clone()).unwrap() };
                while let Some(task) = queue.next() {
                    let never = AtomicBool::new(false);
                    // SAFETY: for those who ask here it is a number.
                    let outcome = unsafe { task.run_noting(number as *const (), &never) };
                    if let Outcome::Yielded(again) = outcome {
                        queue.schedule(again);
                    }
                }
            }
        };
        let threads = (1..=count).map(|number| thread::spawn(work(number))).collect();
        Workers { queue, threads }
    }

    pub fn scheduler(&self) -> Arc<dyn Scheduler> {
        self.queue.clone()
    }

    /// Returns when all wait for work, and keep nothing.
    pub fn until_asleep(&self) {
        until(|| self.queue.state.lock().asleep == self.threads.len());
    }

    pub fn spawn<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.spawn_with(SpawnOptions::new(), f)
    }

    pub fn spawn_with<T: Send + 'static>(
        &self,
        options: SpawnOptions,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        start(self.scheduler(), options, f).unwrap()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.more.notify_all();
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok(), "a worker has panicked");
        }
    }
}

/// Runs `body` in a process of its own: the test program again, with this one test. Gives what
/// that process wrote and how it ended; inside it, does not return.
pub fn in_child(test: &str, body: impl FnOnce()) -> Output {
    in_child_with(test, &[], body)
}

pub fn in_child_with(test: &str, env: &[(&str, &str)], body: impl FnOnce()) -> Output {
    let Some(mut child) = this_test_again(test) else {
        // The numbers are the process's.
        ec_unkind::no_other_runtime();
        body();
        std::process::exit(0);
    };
    child.envs(env.iter().copied()).output().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A pseudo-random number generator (xorshift), so that a run can be repeated.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Spins (politely) until `done`.
pub fn until(done: impl Fn() -> bool) {
    while !done() {
        if ec_tasks::current().is_some() { ec_tasks::yield_now() } else { thread::yield_now() }
    }
}
