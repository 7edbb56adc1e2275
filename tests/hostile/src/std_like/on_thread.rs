//! `task::on_thread`: out of the task's thread-locals, onto those of the thread, and back.

use crate::check::Check;
use crate::support::{CORES, hop, hops, many, runtime, spawn, tasks, thread_number};
use event_channel::task::{self, on_thread};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("on_thread_has_the_threads_thread_locals", the_threads_thread_locals),
    Check::new("on_thread_leaves_the_tasks_thread_locals_alone", the_tasks_are_left_alone),
    Check::new("on_thread_is_no_task_and_blocks", no_task_there),
    Check::new("on_thread_may_be_nested", nested),
    Check::new("on_thread_takes_borrows_and_gives_values", values_in_and_out),
    Check::new("on_thread_on_a_plain_thread_is_a_call", on_a_plain_thread),
    Check::new("on_thread_in_a_dedicated_task_is_a_call", in_a_dedicated_task),
    Check::new("what_on_thread_leaves_is_destroyed_with_the_worker", destroyed_with_the_worker),
    Check::unwinding("a_panic_comes_out_of_on_thread", a_panic_comes_out),
];

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(0) };
    static LIST: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn the_threads_thread_locals() {
    let (rounds, n) = (20, many(500));
    let threads = Arc::new(Mutex::new(HashSet::new()));
    let seen = threads.clone();
    tasks(n, move |me| {
        MINE.set(me + 1);
        let own_id = thread::current().id();
        for _ in 0..rounds {
            let here = thread_number() as usize;
            let id = on_thread(|| {
                assert_eq!(thread_number() as usize, here);
                if task::migrates() {
                    // What a task left here earlier, on this very thread; or nothing yet.
                    let before = MINE.replace(here);
                    assert!(before == here || before == 0, "{before} is not of thread {here}");
                } else {
                    assert_eq!(MINE.get(), me + 1);
                }
                thread::current().id()
            });
            assert_eq!(id == own_id, !task::migrates());
            seen.lock().unwrap().insert(id);
            assert_eq!(MINE.get(), me + 1);
            hop();
        }
    });
    let threads = threads.lock().unwrap().len();
    if task::migrates() {
        let workers = crate::support::runtime().metrics().workers_peak;
        assert!((2..=workers).contains(&threads), "{threads} threads, {workers} workers");
    } else {
        assert_eq!(threads, n);
    }
}

fn the_tasks_are_left_alone() {
    tasks(many(500), |me| {
        MINE.set(me);
        LIST.with(|list| {
            let mut held = list.borrow_mut();
            for n in 0..20 {
                held.push(n);
                on_thread(|| {
                    if task::migrates() {
                        LIST.with_borrow_mut(|list| {
                            list.clear();
                            list.push(me);
                        });
                        MINE.set(usize::MAX);
                    } else {
                        assert!(LIST.with(|list| list.try_borrow().is_err()));
                    }
                });
                hop();
                assert_eq!((held.len(), MINE.get()), (n + 1, me));
            }
        });
        assert!(LIST.take().into_iter().eq(0..20));
    });
}

fn no_task_there() {
    tasks(many(40), |_| {
        let me = task::current().id();
        on_thread(|| {
            let before = thread_number();
            assert_eq!(task::current().id() != me, task::migrates());
            task::sleep(Duration::from_millis(1));
            task::yield_now();
            task::park_timeout(Duration::from_millis(1));
            assert_eq!(thread_number(), before, "suspended out of on_thread");
            if task::migrates() {
                assert!(!task::is_cancelled());
                task::current().unpark();
                task::park();
                assert_eq!(thread_number(), before);
            }
        });
        assert_eq!(task::current().id(), me);
        hop();
    });
}

fn nested() {
    tasks(many(500), |me| {
        MINE.set(me + 1);
        hop();
        let inner = on_thread(|| {
            let outer = MINE.as_ptr_word();
            let inner = on_thread(|| on_thread(|| MINE.as_ptr_word()));
            assert_eq!(inner, outer);
            inner
        });
        assert_eq!(inner == MINE.as_ptr_word(), !task::migrates());
        hop();
        assert_eq!(MINE.get(), me + 1);
    });
}

/// Where the caller's value of a key lies.
trait Place {
    fn as_ptr_word(&'static self) -> usize;
}

impl Place for thread::LocalKey<Cell<usize>> {
    #[inline(never)]
    fn as_ptr_word(&'static self) -> usize {
        self.with(|cell| cell.as_ptr() as usize)
    }
}

fn values_in_and_out() {
    tasks(many(500), |me| {
        let (mut numbers, word) = (vec![me], format!("of {me}"));
        for n in 0..10 {
            let long = on_thread(|| {
                numbers.push(n);
                // Allocated here, freed out there, and the other way round.
                let old = std::mem::replace(&mut numbers, Vec::with_capacity(64));
                numbers.extend(&old);
                format!("{word}, {}", old.len())
            });
            hop();
            assert_eq!(long, format!("of {me}, {}", n + 2));
        }
        let given = on_thread(move || (numbers, word));
        hop();
        assert_eq!((given.0.len(), given.1), (11, format!("of {me}")));
    });
}

fn on_a_plain_thread() {
    let check = || {
        MINE.set(5);
        assert_eq!(on_thread(|| MINE.replace(6)), 5);
        assert_eq!(MINE.get(), 6);
    };
    check();
    thread::spawn(check).join().expect("the same in any thread");
}

fn in_a_dedicated_task() {
    let body = || {
        MINE.set(5);
        let me = task::current().id();
        assert_eq!(on_thread(|| (MINE.get(), task::current().id())), (5, me));
    };
    let task = runtime().spawn_with(task::Builder::new().dedicated(), body).expect("a dedicated task");
    task.join().expect("it is a call");
}

fn destroyed_with_the_worker() {
    static LIVE: AtomicUsize = AtomicUsize::new(0);
    static MADE: AtomicUsize = AtomicUsize::new(0);
    struct Counts(Box<i32>);
    impl Counts {
        fn new() -> Counts {
            LIVE.fetch_add(1, Ordering::Relaxed);
            MADE.fetch_add(1, Ordering::Relaxed);
            Counts(Box::new(thread_number()))
        }
    }
    impl Drop for Counts {
        fn drop(&mut self) {
            assert_eq!(*self.0, thread_number(), "destroyed on another thread");
            LIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }
    thread_local! {
        static KEPT: Counts = Counts::new();
    }
    let runtime = event_channel::Runtime::builder()
        .cores(CORES)
        .max_threads(CORES)
        .force_migration()
        .build()
        .expect("a runtime");
    let n = many(100);
    let all: Vec<_> = (0..n)
        .map(|_| {
            runtime.spawn(|| {
                for _ in 0..20 {
                    on_thread(|| KEPT.with(|kept| assert_eq!(*kept.0, thread_number())));
                    hop();
                }
            })
        })
        .collect();
    assert!(all.into_iter().all(|task| task.join().is_ok()));
    let made = MADE.load(Ordering::Relaxed);
    if task::migrates() {
        assert!((2..=CORES).contains(&made), "{made} made on {CORES} workers");
        assert_eq!(LIVE.load(Ordering::Relaxed), made);
    } else {
        assert_eq!(made, n);
    }
    runtime.shutdown(Duration::from_secs(60)).expect("nothing runs any more");
    crate::support::eventually(|| LIVE.load(Ordering::Relaxed) == 0);
    assert_eq!(MADE.load(Ordering::Relaxed), made);
}

fn a_panic_comes_out() {
    tasks(many(400), |me| {
        MINE.set(me);
        for _ in 0..5 {
            let caught = catch_unwind(AssertUnwindSafe(|| on_thread(|| super::panics::planned())));
            assert!(!thread::panicking());
            super::panics::assert_planned(caught.expect_err("it panics"));
            assert_eq!(MINE.get(), me);
            assert!(!on_thread(thread::panicking), "the thread's panic count stays up");
            hop();
        }
    });
    let failing = spawn(|| {
        hop();
        on_thread(|| super::panics::planned())
    });
    super::panics::assert_planned(failing.join().expect_err("it panics"));
    tasks(50, |_| {
        hops(5);
        assert!(!on_thread(thread::panicking));
    });
}
