//! Tasks that block their thread time and again: each costs its core once, and is run without one from then on.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::{Runtime, task, time};
use net_common::{each_runtime_of, eventually};
use nix::time::ClockId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for the monitor to notice.
const BLOCKED: Duration = Duration::from_millis(10);

/// What the calling thread has used.
fn cpu_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

/// Runs `between` after each of thirty times that a task blocks, and gives how often a core was handed over, and how often the task
/// was lent to a spare thread.
fn thirty_times(runtime: &Runtime, between: fn()) -> (u64, u64) {
    let before = runtime.metrics();
    let task = runtime.spawn(move || {
        for _ in 0..30 {
            thread::sleep(BLOCKED);
            between();
        }
    });
    task.join().unwrap();
    let after = runtime.metrics();
    (after.handed_over - before.handed_over, after.lent - before.lent)
}

#[test]
fn it_costs_a_core_once_if_the_task_suspends_in_between() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            if !task::migrates() {
                return;
            }
            let (handed_over, lent) = thirty_times(runtime, || time::sleep(Duration::from_millis(1)));
            assert!(handed_over <= 10 && lent >= 20, "{handed_over} hand-overs, lent {lent} times");
        });
    });
}

#[test]
fn it_costs_a_core_once_if_the_task_yields_in_between() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            if !task::migrates() {
                return;
            }
            let (handed_over, lent) = thirty_times(runtime, task::yield_now);
            // (One run follows the other on the thread that was lent.)
            assert!(handed_over <= 10 && lent >= 1, "{handed_over} hand-overs, lent {lent} times");
        });
    });
}

#[test]
fn a_task_that_blocks_no_more_is_like_the_others() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let task = runtime.spawn(|| {
                for _ in 0..3 {
                    thread::sleep(BLOCKED);
                    time::sleep(Duration::from_millis(1));
                }
                for _ in 0..100 {
                    time::sleep(Duration::from_micros(100));
                }
            });
            task.join().unwrap();
            let lent = runtime.metrics().lent;
            assert!(lent <= 10, "lent {lent} times");
        });
    });
}

/// Of those that compute the monitor lets run as many as cores.
#[test]
fn a_task_that_blocks_and_then_computes_needs_a_core() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let task = runtime.spawn(|| {
                for _ in 0..5 {
                    thread::sleep(BLOCKED);
                    time::sleep(Duration::from_millis(1));
                }
                let mut kept_waiting = 0;
                for _ in 0..30 {
                    thread::sleep(BLOCKED / 20);
                    let (began, cpu) = (Instant::now(), cpu_time());
                    while began.elapsed() < BLOCKED / 2 {}
                    kept_waiting += usize::from(cpu_time() - cpu < BLOCKED / 3);
                    time::sleep(Duration::from_millis(1));
                }
                kept_waiting
            });
            let kept_waiting = task.join().unwrap();
            let lent = runtime.metrics().lent as usize;
            // Every other time at most: it loses its core by sleeping first. (To wait for a CPU that others have counts as sleep.)
            assert!(lent <= 28 + kept_waiting, "lent {lent} times, without a CPU {kept_waiting} times");
        });
    });
}

#[test]
fn a_panic_on_a_lent_thread_is_delivered_and_costs_nothing() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            for _ in 0..5 {
                let task = runtime.spawn(|| {
                    thread::sleep(BLOCKED);
                    task::yield_now();
                    thread::sleep(BLOCKED);
                    panic!("on purpose");
                });
                assert!(task.join().is_err());
            }
            eventually(|| runtime.metrics().workers_stray == 0);
        });
    });
}

#[test]
fn a_runtime_ends_while_tasks_are_lent() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            for _ in 0..16 {
                drop(runtime.spawn(|| {
                    while !task::is_cancelled() {
                        thread::sleep(BLOCKED / 5);
                        task::yield_now();
                    }
                }));
            }
            thread::sleep(5 * BLOCKED);
            runtime.shutdown(Duration::from_secs(10)).unwrap();
        });
    });
}

#[test]
fn tasks_that_would_not_end_do_not_keep_their_threads() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let runs = Arc::new(AtomicUsize::new(0));
            let theirs = runs.clone();
            drop(runtime.spawn(move || {
                loop {
                    thread::sleep(BLOCKED);
                    theirs.fetch_add(1, Ordering::Relaxed);
                    task::yield_now();
                }
            }));
            eventually(|| !task::migrates() || runtime.metrics().lent > 0);
            let error = runtime.shutdown(BLOCKED).unwrap_err();
            // (A worker that was just told may be on its way, too.)
            let tasks = error.names().iter().filter(|name| name.contains("(id ")).count();
            assert_eq!(tasks, 1, "{error}");
            // It has yielded, which is the end of it.
            let seen = runs.load(Ordering::Relaxed);
            thread::sleep(10 * BLOCKED);
            assert!(!task::migrates() || runs.load(Ordering::Relaxed) <= seen + 1);
        });
    });
}

#[test]
fn where_all_threads_are_blocked_time_and_again_new_tasks_begin_nevertheless() {
    limit(60, || {
        let runtime = Runtime::builder().cores(1).max_threads(4).build().unwrap();
        let (end, ran) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let blockers = (0..8).map(|_| {
            let end = end.clone();
            runtime.spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    thread::sleep(BLOCKED);
                    task::yield_now();
                }
            })
        });
        let blockers: Vec<_> = blockers.collect();
        thread::sleep(5 * BLOCKED);
        for _ in 0..3 {
            let ran = ran.clone();
            runtime.spawn(move || ran.fetch_add(1, Ordering::Relaxed)).join().unwrap();
        }
        end.store(true, Ordering::Relaxed);
        blockers.into_iter().for_each(|blocker| blocker.join().unwrap());
        assert_eq!(ran.load(Ordering::Relaxed), 3);
    });
}

/// Whoever comes is let go when so many others have come after him.
#[derive(Default)]
struct Revolving {
    entered: Mutex<usize>,
    one_more: Condvar,
}

impl Revolving {
    /// Blocks the thread; if nobody comes, for longer than the first turn of new tasks takes.
    fn pass(&self, others: usize) {
        let mut entered = self.entered.lock().unwrap();
        let me = *entered;
        *entered += 1;
        self.one_more.notify_all();
        let waits = |entered: &mut usize| *entered <= me + others;
        drop(self.one_more.wait_timeout_while(entered, 15 * BLOCKED, waits).unwrap());
    }
}

/// So many threads are always blocked that none is left for a new task, and each for a short time.
#[test]
fn those_that_block_by_turns_do_not_starve_new_tasks() {
    limit(60, || {
        let runtime = Runtime::builder().cores(1).max_threads(4).build().unwrap();
        let (end, door) = (Arc::new(AtomicBool::new(false)), Arc::new(Revolving::default()));
        let blockers = (0..8).map(|_| {
            let (end, door) = (end.clone(), door.clone());
            runtime.spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    door.pass(3);
                    task::yield_now();
                }
            })
        });
        let blockers: Vec<_> = blockers.collect();
        thread::sleep(5 * BLOCKED);
        for _ in 0..3 {
            runtime.spawn(|| ()).join().unwrap();
        }
        end.store(true, Ordering::Relaxed);
        blockers.into_iter().for_each(|blocker| blocker.join().unwrap());
    });
}
