//! A thread's guards, and what it has for as long as they live, in every order.
#![cfg(not(loom))]

mod common;

use common::{Queue, Random, in_child, stderr};
use ec_tasks::{
    Outcome, Runnable, Scheduler, SpawnOptions, TaskId, WorkerGuard, on_thread, prepare_worker_thread,
};
use ec_test_support::{limit, skipped};
use ec_unkind as _;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

/// A guard that is dropped in some order; nothing runs meanwhile.
fn guard(queue: &Arc<Queue>) -> WorkerGuard {
    // SAFETY: the tests drop them outside of tasks, or leak on purpose; a signal stack that they set is put back once.
    unsafe { prepare_worker_thread(queue.clone()).unwrap() }
}

fn set_signal_stack(new: Option<&libc::stack_t>) -> libc::stack_t {
    let mut before = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: a stack that the caller keeps, and a place for what was before.
    assert_eq!(unsafe { libc::sigaltstack(new.map_or(ptr::null(), ptr::from_ref), &mut before) }, 0);
    before
}

fn signal_stack() -> libc::stack_t {
    set_signal_stack(None)
}

/// Whether a handler could run there, or would not.
fn is_usable(stack: &libc::stack_t) -> bool {
    let mut pages = vec![0u8; stack.ss_size / 4096 + 2];
    let start = stack.ss_sp as usize & !4095;
    let bytes = (stack.ss_sp as usize + stack.ss_size).next_multiple_of(4096) - start;
    // SAFETY: asks about addresses, with room for the answer.
    stack.ss_flags & libc::SS_DISABLE != 0
        || unsafe { libc::mincore(start as *mut _, bytes, pages.as_mut_ptr()) } == 0
}

/// Another library's signal stack.
struct Foreign {
    memory: Vec<u8>,
    before: libc::stack_t,
}

impl Foreign {
    fn set() -> Foreign {
        let mut memory = vec![0u8; 64 << 10];
        let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
        let before = set_signal_stack(Some(&stack));
        Foreign { memory, before }
    }

    /// As libraries do it: without a look at what is in force. The memory stays for later guards.
    fn put_back(self) {
        set_signal_stack(Some(&self.before));
        std::mem::forget(self.memory);
    }
}

#[allow(unconditional_recursion)]
fn recurse(n: u64) -> u64 {
    let frame = [n; 100];
    std::hint::black_box(&frame);
    recurse(n + 1) + frame[3]
}

/// Of three.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Makes three guards and drops them, with a foreign signal stack set after `set` of these six steps and put back after
/// `put_back`. (6: never.)
fn three(order: [usize; 3], set: usize, put_back: usize) {
    let queue = Arc::new(Queue::default());
    let mut guards = Vec::new();
    let mut foreign = None;
    let mut step = 0;
    let mut between = || {
        if step == set {
            foreign = Some(Foreign::set());
        }
        if step == put_back
            && let Some(foreign) = foreign.take()
        {
            foreign.put_back();
        }
        assert!(is_usable(&signal_stack()), "{order:?} {set} {put_back}: after step {step}");
        step += 1;
    };
    for _ in 0..3 {
        guards.push(Some(guard(&queue)));
        between();
    }
    for at in order {
        guards[at] = None;
        between();
    }
}

#[test]
fn guards_dropped_in_any_order_leave_the_signal_stack_as_it_was() {
    limit(20, || {
        let before = signal_stack().ss_sp;
        for order in ORDERS {
            three(order, 6, 6);
            assert_eq!(signal_stack().ss_sp, before, "{order:?}");
        }
        // With a foreign one in between it may be a guard's that was leaked for it, or the foreign one, but nothing that is gone.
        for order in ORDERS {
            for set in 0..6 {
                for put_back in set + 1..7 {
                    std::thread::spawn(move || three(order, set, put_back)).join().unwrap();
                }
            }
        }
    });
}

#[test]
fn an_overflow_after_guards_were_dropped_in_any_order_is_stds_to_report() {
    if cfg!(target_env = "musl") {
        return ec_test_support::skipped("with musl the main thread overflows without a report of std's");
    }
    const TEST: &str = "an_overflow_after_guards_were_dropped_in_any_order_is_stds_to_report";
    for (index, order) in ORDERS.into_iter().enumerate() {
        for (set, put_back) in [(6, 6), (0, 2), (0, 4), (1, 3), (1, 5), (2, 5), (3, 4), (0, 6)] {
            let case = format!("{index} {set} {put_back}");
            let output = common::in_child_with(TEST, &[("CASE", &case)], || {
                let case = std::env::var("CASE").unwrap();
                let case: Vec<usize> = case.split(' ').map(|word| word.parse().unwrap()).collect();
                three(ORDERS[case[0]], case[1], case[2]);
                std::process::exit(recurse(0) as i32);
            });
            let words = stderr(&output);
            assert!(words.contains("has overflowed its stack"), "{order:?} {set} {put_back}: {words}");
            assert!(!words.contains("task '"), "{words}");
        }
    }
}

#[test]
fn guards_and_foreign_signal_stacks_in_a_random_order_never_leave_one_that_is_gone() {
    limit(60, || {
        for seed in 1..200 {
            let run = move || {
                let queue = Arc::new(Queue::default());
                let mut random = Random(seed);
                let (mut guards, mut foreign) = (Vec::new(), Vec::new());
                for step in 0..100 {
                    match random.below(4) {
                        0 if guards.len() < 6 => guards.push(guard(&queue)),
                        1 if foreign.len() < 3 => foreign.push(Foreign::set()),
                        2 if !guards.is_empty() => {
                            drop(guards.remove(random.below(guards.len() as u64) as usize));
                        }
                        3 if !foreign.is_empty() => {
                            foreign.remove(random.below(foreign.len() as u64) as usize).put_back();
                        }
                        _ => {}
                    }
                    assert!(is_usable(&signal_stack()), "seed {seed}, step {step}");
                }
                drop(guards);
                assert!(is_usable(&signal_stack()), "seed {seed}, at the end");
                assert_eq!(Arc::strong_count(&queue), 1, "no guard's stock is left");
            };
            std::thread::spawn(run).join().unwrap();
        }
    });
}

#[test]
fn nothing_is_leaked_where_nobody_else_sets_a_signal_stack() {
    fn mappings() -> usize {
        std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
    }
    let output = in_child("nothing_is_leaked_where_nobody_else_sets_a_signal_stack", || {
        three(ORDERS[0], 6, 6);
        let before = mappings();
        (0..100).for_each(|round| three(ORDERS[round % 6], 6, 6));
        assert!(mappings() < before + 20, "{before} mappings, then {}", mappings());
    });
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Runs what is ready, here.
fn run_all(queue: &Queue) {
    while let Some(ready) = queue.take() {
        if let Outcome::Yielded(again) = ready.run() {
            queue.schedule(again);
        }
    }
}

#[test]
fn the_guard_made_last_of_those_left_is_the_one_that_counts() {
    limit(20, || {
        let (own, other) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
        let (first, second, third) = (guard(&own), guard(&other), guard(&own));
        let spawns = |queue: &Arc<Queue>| {
            let tasks: Vec<_> = (0..100)
                .map(|_| common::start(queue.clone(), SpawnOptions::new(), ec_tasks::yield_now).unwrap())
                .collect();
            run_all(queue);
            tasks.into_iter().for_each(|task| task.join().unwrap());
        };
        spawns(&own);
        // What the tasks have had is in the stock of the guard that is made last.
        assert!(Arc::strong_count(&own) > 3);
        drop(first);
        spawns(&own);
        drop(third);
        assert_eq!(Arc::strong_count(&own), 1);
        spawns(&own);
        spawns(&other);
        assert!(Arc::strong_count(&other) > 2);
        assert_eq!(Arc::strong_count(&own), 1);
        drop(second);
        assert_eq!((Arc::strong_count(&own), Arc::strong_count(&other)), (1, 1));
        spawns(&own);
    });
}

thread_local!(static GUARD: RefCell<Option<WorkerGuard>> = const { RefCell::new(None) });

/// Whoever gets memory that was just freed.
fn ones() -> Vec<Vec<usize>> {
    (8..64usize).flat_map(|words| (0..4).map(move |_| vec![1usize; words])).collect()
}

#[test]
fn a_guard_dropped_by_a_task_through_its_thread_is_leaked() {
    limit(20, || {
        if let Err(why) = ec_tasks::own_thread_locals() {
            return skipped(why);
        }
        let queue = Arc::new(Queue::default());
        GUARD.set(Some(guard(&queue)));
        let waits = ec_tasks::spawn(queue.clone(), SpawnOptions::new(), ec_tasks::park).unwrap();
        let waiting = waits.task().clone();
        let body = move || {
            let all = on_thread(|| {
                drop(GUARD.take());
                ones()
            });
            waiting.unpark();
            all
        };
        let drops = ec_tasks::spawn(queue.clone(), SpawnOptions::new(), body).unwrap();
        run_all(&queue);
        waits.join().unwrap();
        assert!(
            drops.join().unwrap().iter().flatten().all(|word| *word == 1),
            "written to after it was freed"
        );
    });
}

thread_local!(static TO_PANIC: Cell<bool> = const { Cell::new(false) });

/// One that, when it is told to, drops its guard, or panics.
#[derive(Default)]
struct Rude(Queue);

// SAFETY: as its queue, but for the panic that is tested.
unsafe impl Scheduler for Rude {
    fn schedule(&self, task: Runnable) {
        self.0.schedule(task);
        drop(GUARD.take());
        assert!(!TO_PANIC.take(), "on purpose");
    }
    fn task_finished(&self, _: TaskId) {}
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[test]
fn a_guard_dropped_in_a_schedule_is_leaked_and_one_dropped_after_a_panic_is_not() {
    limit(20, || {
        let rude = Arc::new(Rude::default());
        // SAFETY: as `guard` says.
        let guard = || unsafe { prepare_worker_thread(rude.clone()).unwrap() };
        let spawn = || common::start(rude.clone(), SpawnOptions::new(), || ()).unwrap();
        let panics = guard();
        TO_PANIC.set(true);
        catch_unwind(AssertUnwindSafe(spawn)).unwrap_err();
        run_all(&rude.0);
        drop(panics);
        assert_eq!(Arc::strong_count(&rude), 1, "it was not in use any more");
        GUARD.set(Some(guard()));
        let task = spawn();
        assert!(Arc::strong_count(&rude) > 1);
        run_all(&rude.0);
        task.join().unwrap();
        assert!(Arc::strong_count(&rude) > 1, "it was in use when it was dropped");
    });
}

#[test]
#[should_panic = "a task cannot run tasks"]
fn a_task_is_no_worker() {
    let queue = Arc::new(Queue::default());
    let other = queue.clone();
    // SAFETY: never made.
    let body = move || drop(unsafe { prepare_worker_thread(other) });
    let task = common::start(queue.clone(), SpawnOptions::new(), body).unwrap();
    run_all(&queue);
    std::panic::resume_unwind(task.join().unwrap_err());
}
