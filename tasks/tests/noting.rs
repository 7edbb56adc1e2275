//! What a scheduler remembers of a run until the next one.

use ec_tasks::{Kind, Outcome, Runnable, Scheduler, SpawnOptions, TaskId, Tokens};
use ec_unkind as _;
use std::any::Any;
use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Answers with `says` when it is asked, and counts how often that was.
#[derive(Default)]
struct Noting {
    ready: Mutex<VecDeque<Runnable>>,
    says: AtomicBool,
    asked: AtomicUsize,
}

// SAFETY: the tests run each once; nothing waits, panics or calls others.
unsafe impl Scheduler for Noting {
    fn schedule(&self, task: Runnable) {
        self.ready.lock().unwrap().push_back(task);
    }

    fn task_finished(&self, _: TaskId) {}

    fn note(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.says.load(Ordering::Relaxed)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Noting {
    fn spawn(self: &Arc<Self>, f: impl FnOnce() + Send + 'static) -> Runnable {
        // SAFETY: it borrows nothing and uses no thread-local.
        let task =
            unsafe { ec_tasks::spawn_unchecked(self.clone(), SpawnOptions::new().kind(Kind::Lean), f) };
        drop(task.unwrap());
        self.next()
    }

    fn next(&self) -> Runnable {
        self.ready.lock().unwrap().pop_front().expect("a task is ready")
    }

    /// Runs a task that yields; the scheduler is to be asked, if `due`, and says `says`. Was it asked?
    fn turn(&self, task: Runnable, due: bool, says: bool) -> (Runnable, bool) {
        let before = self.asked.load(Ordering::Relaxed);
        self.says.store(says, Ordering::Relaxed);
        match noting(task, due) {
            Outcome::Yielded(again) => (again, self.asked.load(Ordering::Relaxed) > before),
            Outcome::Suspended => (self.next(), self.asked.load(Ordering::Relaxed) > before),
            Outcome::Finished => panic!("it goes on for ever"),
        }
    }
}

fn noting(task: Runnable, due: bool) -> Outcome {
    // SAFETY: there is no context.
    unsafe { task.run_noting(ptr::null(), &AtomicBool::new(due)) }
}

fn yields() {
    (0..8).for_each(|_| ec_tasks::yield_now());
}

#[test]
fn nobody_is_asked_if_it_is_not_due() {
    let scheduler = Arc::new(Noting::default());
    let task = scheduler.spawn(yields);
    let (task, asked) = scheduler.turn(task, false, true);
    assert!(!asked && !task.is_noted());
}

#[test]
fn what_is_said_stays_with_the_task() {
    let scheduler = Arc::new(Noting::default());
    let task = scheduler.spawn(yields);
    let (task, asked) = scheduler.turn(task, true, false);
    assert!(asked && !task.is_noted());
    let (task, asked) = scheduler.turn(task, true, true);
    assert!(asked && task.is_noted());
}

#[test]
fn after_a_run_that_was_noted_it_is_asked_again() {
    let scheduler = Arc::new(Noting::default());
    let task = scheduler.spawn(yields);
    let (task, _) = scheduler.turn(task, true, true);
    let (task, asked) = scheduler.turn(task, false, true);
    assert!(asked && task.is_noted());
    let (task, asked) = scheduler.turn(task, false, false);
    assert!(asked && !task.is_noted());
    let (task, asked) = scheduler.turn(task, false, true);
    assert!(!asked && !task.is_noted());
}

/// A waker may hand it to somebody else as soon as it is parked.
#[test]
fn it_is_asked_before_the_task_can_be_woken() {
    let scheduler = Arc::new(Noting::default());
    let task = scheduler.spawn(|| {
        let me = ec_tasks::current().unwrap();
        for _ in 0..8 {
            me.unpark();
            ec_tasks::park();
            let waker = me.clone();
            std::thread::spawn(move || waker.wake(Tokens::PARK));
            ec_tasks::park();
        }
    });
    let before = scheduler.asked.load(Ordering::Relaxed);
    scheduler.says.store(true, Ordering::Relaxed);
    assert!(matches!(noting(task, true), Outcome::Suspended));
    assert!(scheduler.asked.load(Ordering::Relaxed) > before);
    while scheduler.ready.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    assert!(scheduler.next().is_noted());
}
