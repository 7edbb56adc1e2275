//! A task's own thread-locals. What foreign code makes of them is tried in `tests/hostile`.

mod common;

use common::{Workers, in_child_with, stderr};
use ec_tasks::{
    Kind, SpawnOptions, breakable_facts, current_context, on_thread, own_thread_locals, yield_now,
};
use ec_test_support::{limit, skipped};
use ec_unkind as _;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(7) };
    static LIST: RefCell<Vec<Rc<u64>>> = RefCell::new(vec![Rc::new(1)]);
}

/// Runs `test` unless tasks are threads here.
fn with_own(test: impl FnOnce() + Send + 'static) {
    match own_thread_locals() {
        Ok(()) => limit(60, test),
        Err(why) => skipped(why),
    }
}

/// Yields until another worker runs the task: there are two, and more tasks than that.
fn hop() {
    let before = current_context();
    while current_context() == before {
        yield_now();
    }
}

#[test]
fn a_thread_local_is_the_tasks_wherever_it_runs() {
    with_own(|| {
        let workers = Workers::new(2);
        let tasks = (0..50u64).map(|number| {
            workers.spawn(move || {
                assert_eq!(NUMBER.get(), 7);
                NUMBER.set(number);
                let place = NUMBER.with(|cell| cell as *const _ as usize);
                for _ in 0..20 {
                    hop();
                    assert_eq!(NUMBER.get(), number);
                    assert_eq!(NUMBER.with(|cell| cell as *const _ as usize), place);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.join().unwrap();
        }
        assert_eq!(NUMBER.get(), 7);
    });
}

#[test]
fn what_is_not_send_may_be_held_while_the_task_changes_its_thread() {
    with_own(|| {
        let workers = Workers::new(2);
        let tasks = (0..20u64).map(|number| {
            workers.spawn(move || {
                LIST.with(|list| {
                    let mut borrowed = list.borrow_mut();
                    for _ in 0..20 {
                        borrowed.push(Rc::new(number));
                        hop();
                    }
                    assert!(list.try_borrow().is_err(), "it is borrowed, by this task");
                    let copy = borrowed[1].clone();
                    hop();
                    assert_eq!((Rc::strong_count(&copy), borrowed.len()), (2, 21));
                });
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.join().unwrap();
        }
    });
}

#[test]
fn the_next_task_on_a_stack_finds_initial_values() {
    with_own(|| {
        let workers = Workers::new(1);
        for number in 0..1000 {
            let found = workers.spawn(move || {
                let all = (NUMBER.replace(number), LIST.with_borrow(Vec::len));
                LIST.with_borrow_mut(|list| list.push(Rc::new(number)));
                all
            });
            assert_eq!(found.join().unwrap(), (7, 1));
        }
    });
}

/// Counts its drops, and the thread-locals that are made while it drops.
struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        yield_now();
        thread_local!(static LATE: RefCell<Option<Late>> = const { RefCell::new(None) });
        LATE.with_borrow_mut(|late| *late = Some(Late(self.0.clone())));
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Late(Arc<AtomicUsize>);

impl Drop for Late {
    fn drop(&mut self) {
        yield_now();
        self.0.fetch_add(1000, Ordering::SeqCst);
    }
}

/// `kind`: destructors have run when `join` returns, once each, also those of thread-locals that
/// destructors have made.
fn destructors_run_before_join_returns(kind: Kind) {
    thread_local!(static COUNTS: RefCell<Option<Counts>> = const { RefCell::new(None) });
    let workers = Workers::new(2);
    let drops = Arc::new(AtomicUsize::new(0));
    for count in 1..=100 {
        let inside = drops.clone();
        let task = workers.spawn_with(SpawnOptions::new().kind(kind), move || {
            COUNTS.set(Some(Counts(inside)));
            yield_now();
        });
        task.join().unwrap();
        assert_eq!(drops.load(Ordering::SeqCst), 1001 * count);
    }
}

#[test]
fn destructors_have_run_when_join_returns() {
    with_own(|| destructors_run_before_join_returns(Kind::Own));
}

#[test]
fn destructors_of_a_dedicated_task_have_run_when_join_returns() {
    limit(60, || destructors_run_before_join_returns(Kind::Dedicated));
}

#[test]
fn on_the_thread_there_is_no_task() {
    with_own(|| {
        let workers = Workers::new(1);
        let task = workers.spawn(|| {
            NUMBER.set(8);
            let inside =
                on_thread(|| (NUMBER.get(), ec_tasks::current().is_none(), on_thread(|| NUMBER.get())));
            (inside, NUMBER.get(), ec_tasks::current().is_some())
        });
        assert_eq!(task.join().unwrap(), ((7, true, 7), 8, true));
    });
}

#[test]
fn a_panic_comes_out_of_on_thread() {
    with_own(|| {
        let workers = Workers::new(1);
        let task = workers.spawn(|| {
            let caught = std::panic::catch_unwind(|| on_thread(|| std::panic::resume_unwind(Box::new(5))));
            yield_now();
            (*caught.unwrap_err().downcast::<i32>().unwrap(), std::thread::panicking())
        });
        assert_eq!(task.join().unwrap(), (5, false));
    });
}

#[test]
fn a_lean_task_has_its_workers_thread_locals() {
    limit(20, || {
        let workers = Workers::new(1);
        let options = || SpawnOptions::new().kind(Kind::Lean);
        let spawn = |number: u64| {
            // SAFETY: the tasks do not suspend, and borrow nothing.
            unsafe {
                ec_tasks::spawn_unchecked(workers.scheduler(), options(), move || NUMBER.replace(number))
            }
        };
        assert_eq!(spawn(8).unwrap().join().unwrap(), 7);
        assert_eq!(spawn(9).unwrap().join().unwrap(), 8);
        let refused = ec_tasks::spawn(workers.scheduler(), options(), || ()).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    });
}

/// In a process with `value` for the variable: tasks are threads, for a reason that says `words`.
fn must_be_threads(test: &str, value: &str, words: &str) {
    if breakable_facts().is_empty() {
        return skipped("this target has nothing to switch off");
    }
    let output = in_child_with(test, &[("EVENT_CHANNEL_OWN_TLS", value)], || {
        let why = own_thread_locals().unwrap_err();
        let kind = || (ec_tasks::current().unwrap().kind(), NUMBER.get());
        let task = ec_tasks::spawn(Workers::new(1).scheduler(), SpawnOptions::new(), kind).unwrap();
        assert_eq!(task.join().unwrap(), (Kind::Dedicated, 7));
        eprintln!("the reason: {why}");
    });
    assert!(output.status.success(), "{value}: {}", stderr(&output));
    let said = stderr(&output);
    let reason = said.lines().find(|line| line.starts_with("the reason: ")).expect("a reason");
    assert!(reason.contains(words), "{value}: {reason}");
}

#[test]
fn switched_off_tasks_are_threads() {
    limit(60, || must_be_threads("switched_off_tasks_are_threads", "off", "EVENT_CHANNEL_OWN_TLS=off"));
}

#[test]
fn an_unknown_setting_is_named() {
    limit(60, || must_be_threads("an_unknown_setting_is_named", "perhaps", "perhaps is not known"));
}

#[test]
fn each_wrong_fact_is_noticed_and_makes_tasks_threads() {
    const TEST: &str = "each_wrong_fact_is_noticed_and_makes_tasks_threads";
    with_own_or_child(|| {
        for fact in breakable_facts() {
            must_be_threads(TEST, &format!("break:{fact}"), &format!("differ in {fact}"));
        }
    });
}

/// In the child of a test tasks are threads, and that is not a reason to skip it.
fn with_own_or_child(test: impl FnOnce() + Send + 'static) {
    if std::env::var_os("EVENT_CHANNEL_OWN_TLS").is_some() { limit(60, test) } else { with_own(test) }
}

/// A scheduler for the test's own thread.
#[derive(Default)]
struct Queue(parking_lot::Mutex<Vec<ec_tasks::Runnable>>);

// SAFETY: the tests run each once; nothing waits for long, panics or calls others.
unsafe impl ec_tasks::Scheduler for Queue {
    fn schedule(&self, task: ec_tasks::Runnable) {
        self.0.lock().push(task);
    }
    fn task_finished(&self, _: ec_tasks::TaskId) {}
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[cfg(target_arch = "x86_64")]
fn rounding() -> u32 {
    let mut mxcsr = 0u32;
    // SAFETY: stores the register.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack)) };
    mxcsr & 0x6000
}

#[cfg(target_arch = "x86_64")]
fn round_towards_zero() {
    let mxcsr = 0x1f80u32 | 0x6000;
    // SAFETY: the default with another rounding; nothing is computed.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack)) };
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_worker_does_not_keep_a_tasks_rounding() {
    limit(20, || {
        let queue = Arc::new(Queue::default());
        let body = || {
            round_towards_zero();
            yield_now();
            rounding()
        };
        let task = common::start(queue.clone(), SpawnOptions::new(), body).unwrap();
        // SAFETY: dropped at the end, outside of tasks; no signal stack is set.
        let _worker = unsafe { ec_tasks::prepare_worker_thread(queue.clone()).unwrap() };
        loop {
            let Some(ready) = queue.0.lock().pop() else { break };
            let outcome = ready.run();
            assert_eq!(rounding(), 0, "the worker rounds to nearest, as before");
            if let ec_tasks::Outcome::Yielded(again) = outcome {
                queue.0.lock().push(again);
            }
        }
        assert_eq!(task.join().unwrap(), 0x6000);
    });
}

fn set_signal_stack(new: Option<&[u8]>) -> usize {
    let new = new.map(|memory| libc::stack_t {
        ss_sp: memory.as_ptr().cast_mut().cast(),
        ss_flags: 0,
        ss_size: memory.len(),
    });
    let mut before = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: memory that is never freed, and a place for what was before.
    assert_eq!(unsafe { libc::sigaltstack(new, &mut before) }, 0);
    before.ss_sp as usize
}

/// A task sets its own, steps out onto its thread, which sets another one there, and comes back.
#[test]
fn a_signal_stack_is_the_tasks_or_its_threads() {
    with_own(|| {
        let memory = || &*vec![0u8; 64 << 10].leak();
        let queue = Arc::new(Queue::default());
        let workers = set_signal_stack(None);
        let (of_task, of_thread) = (memory(), memory());
        let address = |memory: &[u8]| memory.as_ptr() as usize;
        let body = move || {
            assert_eq!(set_signal_stack(Some(of_task)), workers);
            on_thread(|| {
                assert_eq!(set_signal_stack(None), workers, "what the task has set is not the thread's");
                set_signal_stack(Some(of_thread));
            });
            assert_eq!(set_signal_stack(None), address(of_task));
            on_thread(|| assert_eq!(set_signal_stack(None), address(of_thread)));
            yield_now();
            assert_eq!(set_signal_stack(None), address(of_thread));
        };
        let task = ec_tasks::spawn(queue.clone(), SpawnOptions::new(), body).unwrap();
        let again = queue.0.lock().pop().unwrap().run();
        assert_eq!(set_signal_stack(None), address(of_thread), "what the thread has set stays");
        let ec_tasks::Outcome::Yielded(again) = again else { panic!("it yields") };
        assert!(matches!(again.run(), ec_tasks::Outcome::Finished));
        task.join().unwrap();
    });
}

/// Or each of a hundred thousand tasks would have one.
#[test]
fn the_cache_of_malloc_stays_with_the_thread() {
    with_own(|| {
        let queue = Arc::new(Queue::default());
        let run = || assert!(matches!(queue.0.lock().pop().unwrap().run(), ec_tasks::Outcome::Finished));
        // SAFETY: an allocation that is freed, and not used.
        let place = || unsafe {
            let place = std::hint::black_box(libc::malloc(1000));
            libc::free(place);
            place as usize
        };
        let spawn = || ec_tasks::spawn(queue.clone(), SpawnOptions::new(), place).unwrap();
        // A thread's first allocation of a size fills its cache from what other threads have freed. A full cache would
        // not take the block back.
        place();
        let first = spawn();
        run();
        let second = spawn();
        run();
        // What was freed last is given out first.
        let places = [first.join().unwrap(), second.join().unwrap(), place()];
        assert!(places.iter().all(|place| *place == places[0]), "{places:x?}");
    });
}
