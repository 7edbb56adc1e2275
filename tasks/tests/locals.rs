//! Task-locals.
#![cfg(not(loom))]

mod common;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use common::Workers;
use ec_tasks::{AccessError, park, task_local, yield_now};
use ec_test_support::limit;
use ec_unkind as _;
use parking_lot::Mutex;

task_local! {
    static NUMBER: Cell<u64> = const { Cell::new(5) };
    static WORDS: RefCell<Vec<String>> = RefCell::new(vec!["first".to_owned()]);
}

#[test]
fn each_task_has_its_own_across_threads() {
    limit(60, || {
        let workers = Workers::new(4);
        let tasks: Vec<_> = (0..50u64)
            .map(|number| {
                workers.spawn(move || {
                    assert_eq!(NUMBER.get(), 5);
                    for step in 0..200 {
                        NUMBER.set(number * 1000 + step);
                        WORDS.with_borrow_mut(|words| words.push(number.to_string()));
                        yield_now();
                        assert_eq!(NUMBER.get(), number * 1000 + step);
                    }
                    assert_eq!(WORDS.take().len(), 201);
                    assert_eq!(NUMBER.replace(1), number * 1000 + 199);
                })
            })
            .collect();
        NUMBER.set(7);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(NUMBER.get(), 7, "the thread's own");
    });
}

/// A borrow survives a suspension, whatever is added meanwhile.
#[test]
fn a_borrow_may_be_held_while_the_task_waits() {
    limit(20, || {
        let workers = Workers::new(2);
        let task = workers.spawn(|| {
            WORDS.with(|words| {
                let borrowed = words.borrow();
                NUMBER.set(6);
                yield_now();
                park();
                borrowed[0].clone()
            })
        });
        task.task().unpark();
        assert_eq!(task.join().unwrap(), "first");
    });
}

/// Notes its drop, and what it finds then.
struct Notes(&'static str, RefCell<Option<Arc<Mutex<Vec<String>>>>>);

task_local! {
    static EARLY: Notes = Notes("early", RefCell::new(None));
    static LATE: Notes = Notes("late", RefCell::new(None));
    static NEVER_BEFORE: String = "made in a destructor".to_owned();
}

impl Drop for Notes {
    fn drop(&mut self) {
        let Some(log) = self.1.take() else { return };
        let mut line = self.0.to_owned();
        if self.0 == "late" {
            EARLY.with(|early| line.push_str(&format!(", {} is there", early.0)));
            NEVER_BEFORE.with(|text| line.push_str(&format!(", {text}")));
        } else {
            assert_eq!(LATE.try_with(|_| ()), Err(AccessError));
            assert_eq!(EARLY.try_with(|_| ()), Err(AccessError));
            line.push_str(", late is gone");
        }
        line.push_str(if ec_tasks::current().is_some() { ", on the task" } else { ", on the thread" });
        yield_now();
        log.lock().push(line);
    }
}

fn use_both(log: &Arc<Mutex<Vec<String>>>) {
    EARLY.with(|notes| *notes.1.borrow_mut() = Some(log.clone()));
    LATE.with(|notes| *notes.1.borrow_mut() = Some(log.clone()));
}

#[test]
fn they_are_dropped_on_the_task_latest_first_before_join_returns() {
    limit(20, || {
        let workers = Workers::new(2);
        let log = Arc::new(Mutex::new(Vec::new()));
        let copy = log.clone();
        workers.spawn(move || use_both(&copy)).join().unwrap();
        assert_eq!(
            *log.lock(),
            ["late, early is there, made in a destructor, on the task", "early, late is gone, on the task"]
        );
    });
}

#[test]
fn a_plain_thread_drops_its_own_in_the_same_order() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let copy = log.clone();
    std::thread::spawn(move || use_both(&copy)).join().unwrap();
    assert_eq!(
        *log.lock(),
        ["late, early is there, made in a destructor, on the thread", "early, late is gone, on the thread"]
    );
}

#[test]
fn a_destructor_that_panics_harms_nobody() {
    struct Bomb(Cell<bool>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0.get() {
                panic!("dropped");
            }
        }
    }
    task_local! { static BOMB: Bomb = const { Bomb(Cell::new(false)) } }
    limit(20, || {
        let workers = Workers::new(1);
        workers.spawn(|| BOMB.with(|bomb| bomb.0.set(true))).join().unwrap();
        workers.spawn(|| ()).join().unwrap();
    });
}

/// Keys that look the same to the linker are not taken for one another.
#[test]
fn a_key_is_known_by_its_type_too() {
    task_local! {
        static SIGNED: Cell<i32> = const { Cell::new(0) };
        static UNSIGNED: Cell<u32> = const { Cell::new(0) };
    }
    SIGNED.set(-1);
    UNSIGNED.set(1);
    assert_eq!((SIGNED.get(), UNSIGNED.get()), (-1, 1));
}
