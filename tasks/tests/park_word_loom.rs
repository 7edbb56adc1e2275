//! The park word under every interleaving: the production source against loom's atomics.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p ec-tasks --release --test park_word_loom`
#![cfg(loom)]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};
}

#[allow(dead_code)]
#[path = "../src/task/park_word.rs"]
mod park_word;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use park_word::ParkWord;

const OP: u32 = 1;
const PARK: u32 = 2;
const SYNC: u32 = 4;

/// Every interleaving with up to three preemptions: enough for each race of two steps, and
/// seconds instead of hours.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// A task that a worker parks; `handed` counts how often a waker got the right to run it.
struct Model {
    word: ParkWord,
    handed: AtomicUsize,
    /// Touched by whoever runs the task: loom finds two at once, or one that does not see the
    /// other's writes.
    stack: UnsafeCell<usize>,
    /// What the operation's waker wrote before its wake.
    result: UnsafeCell<usize>,
}

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Model {
            word: ParkWord::new(),
            handed: AtomicUsize::new(0),
            stack: UnsafeCell::new(0),
            result: UnsafeCell::new(0),
        })
    }

    /// The task's own memory, used by whoever has the right to run it.
    fn run(&self) {
        // SAFETY: loom checks that it is exclusive; that is the test.
        self.stack.with_mut(|stack| unsafe { *stack += 1 });
    }

    /// The waker's write, before its wake.
    fn complete(&self) {
        // SAFETY: as in `run`.
        self.result.with_mut(|result| unsafe { *result = 42 });
    }

    /// The task's read, after its wait.
    fn result(&self) -> usize {
        // SAFETY: as in `run`.
        self.result.with(|result| unsafe { *result })
    }

    fn wake(&self, token: u32) {
        if self.word.wake(token) {
            // The run queue: whoever takes from it sees what was before.
            self.handed.fetch_add(1, Ordering::Release);
        }
    }

    /// `suspend` and the worker in one: gives the tokens taken.
    fn suspend(&self, accept: u32) -> u32 {
        loop {
            let taken = self.word.take(accept);
            if taken != 0 {
                return taken;
            }
            self.run();
            if self.word.park(accept) {
                // Now another worker may have it: it is only ours again through the queue.
                while self.handed.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_err() {
                    thread::yield_now();
                }
            }
            self.run();
        }
    }
}

#[test]
fn a_completion_is_never_lost_and_brings_its_result() {
    model(|| {
        let task = Model::new();
        let waker = task.clone();
        let driver = thread::spawn(move || {
            waker.complete();
            waker.wake(OP);
        });
        assert_eq!(task.suspend(OP), OP);
        assert_eq!(task.result(), 42);
        driver.join().unwrap();
        assert_eq!(task.handed.load(Ordering::Relaxed), 0, "handed out twice");
    });
}

/// Two wakers at one wait: one of them gets the right to run; both tokens stay to be taken.
#[test]
fn two_wakers_hand_the_task_out_once() {
    model(|| {
        let task = Model::new();
        let wakers = [PARK, SYNC].map(|token| {
            let task = task.clone();
            thread::spawn(move || task.wake(token))
        });
        let mut taken = 0;
        while taken != PARK | SYNC {
            taken |= task.suspend(PARK | SYNC);
        }
        for waker in wakers {
            waker.join().unwrap();
        }
        assert_eq!(task.handed.load(Ordering::Relaxed), 0, "handed out twice");
    });
}

/// A token that the wait does not accept neither ends it nor gets lost.
#[test]
fn another_token_waits_its_turn() {
    model(|| {
        let task = Model::new();
        let unparker = {
            let task = task.clone();
            thread::spawn(move || task.wake(PARK))
        };
        let driver = {
            let task = task.clone();
            thread::spawn(move || {
                task.complete();
                task.wake(OP);
            })
        };
        assert_eq!(task.suspend(OP), OP);
        assert_eq!(task.result(), 42);
        assert_eq!(task.suspend(PARK), PARK);
        unparker.join().unwrap();
        driver.join().unwrap();
        assert_eq!(task.handed.load(Ordering::Relaxed), 0);
    });
}

/// It does not even bring the task to a worker, which would park it again.
#[test]
fn another_token_hands_nothing_out() {
    model(|| {
        let task = Model::new();
        let others = {
            let task = task.clone();
            thread::spawn(move || task.word.wake(PARK) || task.word.wake(SYNC))
        };
        assert!(task.word.park(OP));
        assert!(!others.join().unwrap());
        assert!(task.word.wake(OP));
        assert_eq!(task.word.take(OP | PARK | SYNC), OP | PARK | SYNC);
    });
}

/// Two wakers of one kind, each with a condition of its own: the task that takes the one token
/// sees both conditions, or gets another token.
#[test]
fn wakes_that_coalesce_bring_all_their_writes() {
    model(|| {
        let task = Model::new();
        let conditions = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let wakers = [0, 1].map(|number| {
            let (task, conditions) = (task.clone(), conditions.clone());
            thread::spawn(move || {
                conditions[number].store(1, Ordering::Relaxed);
                task.wake(SYNC);
            })
        });
        while conditions.iter().any(|condition| condition.load(Ordering::Relaxed) == 0) {
            task.suspend(SYNC);
        }
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

/// Whoever gets the task from a waker goes on with it at once, on its own thread: it sees what
/// the worker that parked it wrote, and the two never overlap.
#[test]
fn the_next_worker_sees_what_the_one_before_wrote() {
    model(|| {
        let task = Model::new();
        let next = {
            let task = task.clone();
            thread::spawn(move || {
                let ours = task.word.wake(OP);
                if ours {
                    task.run();
                }
                ours
            })
        };
        task.run();
        let parked = task.word.park(OP);
        if !parked {
            task.run();
        }
        assert_eq!(next.join().unwrap(), parked, "exactly one goes on");
        // SAFETY: the other thread has ended.
        assert_eq!(task.stack.with(|stack| unsafe { *stack }), 2);
    });
}
