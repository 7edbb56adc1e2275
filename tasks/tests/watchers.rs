//! Who is told of a task's end instead of a joiner: once, when `join` does not wait any more, and nobody who was taken back.
#![cfg(not(loom))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Queue, Workers, start, until};
use ec_tasks::{JoinHandle, Kind, SpawnOptions, Watcher, park, yield_now};
use ec_test_support::limit;
use ec_unkind as _;

/// Adds up the words that it is told. Those of where foreign code may not run count thousandfold.
#[derive(Default)]
struct Sum(AtomicU32);

// SAFETY: it adds two numbers.
unsafe impl Watcher for Sum {
    fn ended(self: Arc<Self>, word: u32, foreign: bool) {
        self.0.fetch_add(if foreign { word } else { 1_000 * word }, Ordering::SeqCst);
    }
}

impl Sum {
    fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

fn tell<T>(handle: &mut JoinHandle<T>, sum: &Arc<Sum>, word: u32) -> bool {
    handle.tell(sum.clone(), word)
}

#[test]
fn one_is_told_once_and_the_result_is_there() {
    limit(20, || {
        let workers = Workers::new(2);
        let sum = Arc::<Sum>::default();
        let mut handles: Vec<_> = (1..=100)
            .map(|word| {
                let mut handle = workers.spawn(move || {
                    park();
                    word
                });
                assert!(tell(&mut handle, &sum, word));
                assert!(handle.try_join().is_none());
                handle
            })
            .collect();
        handles.iter().for_each(|handle| handle.task().unpark());
        until(|| sum.get() == 5050);
        for (word, handle) in (1..).zip(&mut handles) {
            assert_eq!(handle.try_join().unwrap().unwrap(), word);
        }
        // Too late.
        assert!(!tell(&mut handles[0], &sum, 1) && !handles[0].untell());
        drop(handles);
        assert_eq!((sum.get(), Arc::strong_count(&sum)), (5050, 1));
    });
}

#[test]
fn who_was_replaced_or_taken_back_is_not_told() {
    limit(20, || {
        let workers = Workers::new(2);
        let (first, second) = (Arc::<Sum>::default(), Arc::<Sum>::default());
        let parked = || workers.spawn(park);
        let mut replaced = parked();
        assert!(tell(&mut replaced, &first, 1) && tell(&mut replaced, &second, 1));
        assert_eq!(Arc::strong_count(&first), 1, "nothing is kept of who is not told");
        let mut back = parked();
        assert!(tell(&mut back, &first, 1) && back.untell() && back.untell());
        let mut joined = parked();
        assert!(tell(&mut joined, &first, 1));
        let mut dropped = parked();
        assert!(tell(&mut dropped, &first, 1));
        let detached = dropped.task().clone();
        drop(dropped);
        assert_eq!(Arc::strong_count(&first), 2, "that of the one which is to be joined");
        let ends = joined.task().clone();
        let joiner = workers.spawn(move || joined.join().unwrap());
        until(|| joiner.task().info().waits_for.is_some());
        [replaced.task(), back.task(), &ends, &detached].into_iter().for_each(|task| task.unpark());
        joiner.join().unwrap();
        back.join().unwrap();
        replaced.join().unwrap();
        until(|| second.get() == 1);
        assert_eq!((first.get(), Arc::strong_count(&first)), (0, 1));
    });
}

/// At random moments: each end is either told or found.
#[test]
fn no_end_is_missed() {
    limit(60, || {
        let workers = Workers::new(2);
        let (sum, mut found) = (Arc::<Sum>::default(), 0);
        for round in 0..20_000u32 {
            let mut handle = workers.spawn(|| ());
            (0..round % 64).for_each(|_| std::hint::spin_loop());
            if !tell(&mut handle, &sum, 1) || (round % 3 == 0 && !tell(&mut handle, &sum, 1)) {
                found += 1;
            }
            while handle.try_join().is_none() {
                yield_now();
            }
        }
        until(|| sum.get() + found >= 20_000);
        assert!(sum.get() <= 20_000, "{} told", sum.get());
    });
}

/// Where no thread-local of std's is left, and where a task that never began was leaked, foreign code may not run.
#[test]
fn it_is_told_where_foreign_code_may_run() {
    limit(20, || {
        let (queue, sum) = (Arc::<Queue>::default(), Arc::<Sum>::default());
        let mut dedicated = start(queue.clone(), SpawnOptions::new().kind(Kind::Dedicated), park).unwrap();
        assert!(tell(&mut dedicated, &sum, 1));
        dedicated.task().unpark();
        until(|| sum.get() == 1_000);
        for (leaks, told) in [(false, 1_001), (true, 2_001)] {
            let mut refused = start(queue.clone(), SpawnOptions::new(), || ()).unwrap();
            assert!(tell(&mut refused, &sum, 1));
            assert!(queue.take().unwrap().refuse("not this one", leaks).is_ok());
            assert_eq!(sum.get(), told);
            assert_eq!(*refused.join().unwrap_err().downcast::<&str>().unwrap(), "not this one");
        }
    });
}

#[test]
fn a_task_does_not_wait_for_its_own_end() {
    limit(20, || {
        let workers = Workers::new(1);
        let (give, get) = std::sync::mpsc::channel::<JoinHandle<()>>();
        let (say, said) = std::sync::mpsc::channel();
        let me = workers.spawn(move || {
            let mut me = loop {
                match get.try_recv() {
                    Ok(me) => break me,
                    Err(_) => yield_now(),
                }
            };
            let caught = catch_unwind(AssertUnwindSafe(|| tell(&mut me, &Arc::default(), 1)));
            say.send(*caught.unwrap_err().downcast::<&str>().unwrap()).unwrap();
        });
        give.send(me).unwrap();
        assert!(said.recv().unwrap().contains("wait for its own end"));
    });
}
