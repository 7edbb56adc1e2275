//! Destructors of thread-locals: once, on the task, which may still do everything that a task does.

use crate::check::Check;
use crate::support::{CORES, eventually, hop, hops, many, spawn, tasks};
use event_channel::{Runtime, task};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("a_destructor_runs_once_and_on_its_task", once_and_on_its_task),
    Check::new("a_destructor_may_hop", a_destructor_may_hop),
    Check::new("a_destructor_may_make_further_thread_locals", may_make_further),
    Check::new("a_destructor_may_start_and_join_tasks_and_threads", may_start_and_join),
    Check::new("a_thread_local_that_is_being_destroyed_says_so", destroyed_says_so),
    Check::new("destructors_belong_to_the_task_and_not_to_the_worker", not_to_the_worker),
    Check::new("a_task_without_a_handle_runs_its_destructors", without_a_handle),
    Check::unwinding("a_task_that_panics_runs_its_destructors", panicking_tasks_too),
];

thread_local! {
    /// No destructor: good to the very end.
    static OWNER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Counts its drops; each knows whose it is.
struct Noisy {
    owner: usize,
    dropped: &'static AtomicUsize,
    hops: usize,
}

impl Drop for Noisy {
    fn drop(&mut self) {
        for _ in 0..=self.hops {
            // Nothing can unwind out of here: the process ends with the message.
            assert_eq!(OWNER.get(), self.owner, "a destructor runs on another task");
            hops(self.hops.min(1));
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static NOISY: RefCell<Vec<Noisy>> = const { RefCell::new(Vec::new()) };
    static LAZY_NOISY: RefCell<Vec<Noisy>> = RefCell::new(Vec::with_capacity(1));
}

/// Puts two values into thread-locals of this task.
fn leave(owner: usize, dropped: &'static AtomicUsize, hops: usize) {
    OWNER.set(owner);
    NOISY.with_borrow_mut(|all| all.push(Noisy { owner, dropped, hops }));
    LAZY_NOISY.with_borrow_mut(|all| all.push(Noisy { owner, dropped, hops }));
}

/// Exactly so many, also a while later.
fn settled_at(dropped: &AtomicUsize, n: usize) {
    eventually(|| dropped.load(Ordering::Relaxed) >= n);
    tasks(50, |_| hops(3));
    assert_eq!(dropped.load(Ordering::Relaxed), n, "too many destructors ran");
}

fn once_and_on_its_task() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let n = many(700);
    for round in 1..=3 {
        tasks(n, move |me| {
            assert!(NOISY.with_borrow(Vec::is_empty), "another task's values");
            leave(round * 10_000 + me, &DROPPED, 0);
            hops(10);
        });
        settled_at(&DROPPED, round * n * 2);
    }
}

fn a_destructor_may_hop() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let n = many(700);
    for round in 1..=3 {
        tasks(n, move |me| {
            leave(round * 10_000 + me, &DROPPED, 6);
            hop();
        });
        settled_at(&DROPPED, round * n * 2);
    }
}

fn may_make_further() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct First(usize);
    struct Second(usize);
    struct Third(usize);
    thread_local! {
        static FIRST: RefCell<Option<First>> = const { RefCell::new(None) };
        static SECOND: RefCell<Option<Second>> = const { RefCell::new(None) };
        static THIRD: RefCell<Vec<Third>> = RefCell::new(Vec::with_capacity(1));
    }
    impl Drop for First {
        fn drop(&mut self) {
            hop();
            assert_eq!(OWNER.get(), self.0);
            SECOND.set(Some(Second(self.0)));
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    impl Drop for Second {
        fn drop(&mut self) {
            assert_eq!(OWNER.get(), self.0);
            THIRD.with_borrow_mut(|third| third.push(Third(self.0)));
            hop();
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    impl Drop for Third {
        fn drop(&mut self) {
            hop();
            assert_eq!(OWNER.get(), self.0);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    let n = many(700);
    for round in 1..=2 {
        tasks(n, |me| {
            OWNER.set(me);
            FIRST.set(Some(First(me)));
            hop();
        });
        settled_at(&DROPPED, round * n * 3);
    }
}

fn may_start_and_join() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Starter(usize);
    impl Drop for Starter {
        fn drop(&mut self) {
            let me = self.0;
            let task = task::spawn(move || {
                assert_eq!(OWNER.get(), usize::MAX, "a new task begins anew");
                OWNER.set(me + 1);
                task::yield_now();
                OWNER.get()
            });
            assert_eq!(task.join().ok(), Some(me + 1));
            assert_eq!(std::thread::spawn(OWNER_HERE).join().ok(), Some(usize::MAX));
            assert_eq!(OWNER.get(), me);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    const OWNER_HERE: fn() -> usize = || OWNER.get();
    thread_local! {
        static STARTER: RefCell<Option<Starter>> = const { RefCell::new(None) };
    }
    let n = many(200);
    tasks(n, |me| {
        OWNER.set(me);
        STARTER.set(Some(Starter(me)));
        hop();
    });
    settled_at(&DROPPED, n);
}

fn destroyed_says_so() {
    static SAID_SO: AtomicUsize = AtomicUsize::new(0);
    struct Looks;
    thread_local! {
        static LOOKED_AT: RefCell<Option<Looks>> = const { RefCell::new(None) };
    }
    impl Drop for Looks {
        fn drop(&mut self) {
            let before = LOOKED_AT.try_with(|_| ()).is_err();
            hop();
            let after = LOOKED_AT.try_with(|_| ()).is_err();
            SAID_SO.fetch_add(usize::from(before) + usize::from(after), Ordering::Relaxed);
        }
    }
    let n = many(500);
    for round in 1..=2 {
        tasks(n, |_| {
            assert!(LOOKED_AT.try_with(|_| ()).is_ok(), "the state of an earlier task");
            LOOKED_AT.set(Some(Looks));
            hop();
        });
        settled_at(&SAID_SO, round * n * 2);
    }
}

/// The workers end, their own destructors run, and nobody's are among them.
fn not_to_the_worker() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let n = many(300);
    for round in 1..=5 {
        let runtime = Runtime::builder().cores(CORES).force_migration().build().expect("a runtime");
        let all: Vec<_> = (0..n)
            .map(|me| {
                runtime.spawn(move || {
                    leave(round * 10_000 + me, &DROPPED, 1);
                    hops(4);
                })
            })
            .collect();
        assert!(all.into_iter().all(|task| task.join().is_ok()));
        runtime.shutdown(Duration::from_secs(60)).expect("nothing runs any more");
        eventually(|| DROPPED.load(Ordering::Relaxed) >= round * n * 2);
        assert_eq!(DROPPED.load(Ordering::Relaxed), round * n * 2);
    }
}

fn without_a_handle() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let n = many(700);
    for me in 0..n {
        drop(spawn(move || {
            leave(me, &DROPPED, 1);
            hops(4);
        }));
    }
    settled_at(&DROPPED, n * 2);
}

fn panicking_tasks_too() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let n = many(500);
    let all: Vec<_> = (0..n)
        .map(|me| {
            spawn(move || {
                leave(me, &DROPPED, 1);
                hop();
                super::panics::planned()
            })
        })
        .collect();
    for task in all {
        super::panics::assert_planned(task.join().expect_err("it panics"));
    }
    settled_at(&DROPPED, n * 2);
}
