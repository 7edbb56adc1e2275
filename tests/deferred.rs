//! Deferred functions of a collector: foreign code that runs wherever somebody pins. The pool's queues pin nothing.

mod net_common;

use crossbeam::epoch;
use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::Notification;
use event_channel::{Runtime, task, time};
use net_common::{each_runtime, eventually};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Enough for many bags of a collector's, and for its deques to have grown several times.
const DEFERRED: usize = 2_400;
const PLAIN: usize = 300;

/// The collector is one for all.
static ONE_AT_A_TIME: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

/// Leaves `f` behind to be run by whoever pins, many times.
fn defer(f: impl Fn() + Clone + Send + 'static) {
    // Held: a reader that is at work, so that nothing runs yet.
    let guard = epoch::pin();
    for number in 0..DEFERRED {
        guard.defer(f.clone());
        if number % 60 == 59 {
            guard.flush();
        }
    }
}

/// Runs some of what was left behind.
fn pin() {
    // (A deferred function that panics does so in whoever pins.)
    let _ = catch_unwind(|| epoch::pin().flush());
}

/// Spawns, yields, blocks, steals, and everything else for which a queue may be changed, while deferred functions wait for somebody
/// who pins.
fn exercise(runtime: &Runtime) {
    let ran = Arc::new(AtomicUsize::new(0));
    let inside = ran.clone();
    runtime.run(move || {
        let spawn = |_| {
            let ran = inside.clone();
            task::spawn(move || {
                task::yield_now();
                ran.fetch_add(1, SeqCst);
            })
        };
        let handles: Vec<_> = (0..PLAIN).map(spawn).collect();
        for _ in 0..1_000 {
            task::yield_now();
        }
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        task::spawn(|| std::thread::sleep(Duration::from_millis(5))).join().unwrap();
    });
    assert_eq!(ran.load(SeqCst), PLAIN);
}

/// In each runtime: `f`, which counts itself in the end, as a deferred function, run by tasks or by this thread.
fn each(f: impl Fn(&Arc<AtomicUsize>) + Clone + Send + 'static) {
    limit(120, || {
        let _alone = ONE_AT_A_TIME.lock();
        each_runtime(|runtime| {
            let done = Arc::new(AtomicUsize::new(0));
            let (f, counted) = (f.clone(), done.clone());
            let deferred = move || f(&counted);
            runtime.run(|| defer(deferred));
            exercise(runtime);
            // Now tasks pin themselves, between whatever else they do.
            runtime.run(|| {
                let pins = |_| task::spawn(|| (0..50).for_each(|_| pin()));
                (0..16).map(pins).collect::<Vec<_>>().into_iter().for_each(|task| task.join().unwrap());
            });
            exercise(runtime);
            eventually(|| {
                pin();
                done.load(SeqCst) >= DEFERRED
            });
            assert_eq!(done.load(SeqCst), DEFERRED);
        });
    });
}

#[test]
fn they_may_spawn_tasks() {
    each(|done| {
        let done = done.clone();
        drop(task::spawn(move || done.fetch_add(1, SeqCst)));
    });
}

#[test]
fn they_may_wake_tasks() {
    each(|done| {
        let notification = Arc::new(Notification::new());
        let (wakes, done) = (notification.clone(), done.clone());
        drop(task::spawn(move || {
            notification.wait();
            done.fetch_add(1, SeqCst);
        }));
        wakes.post();
    });
}

#[test]
fn they_may_suspend_and_block() {
    each(|done| {
        // (Not all: each takes its time.)
        match done.fetch_add(1, SeqCst) % 40 {
            0 => time::sleep(Duration::from_micros(100)),
            1 => std::thread::sleep(Duration::from_micros(100)),
            2 => task::yield_now(),
            _ => {}
        }
    });
}

#[test]
fn they_may_panic() {
    each(|done| {
        // (One that panics takes others of its bag with it.)
        let number = done.fetch_add(1, SeqCst);
        assert_ne!(number % DEFERRED, DEFERRED - 1, "on purpose");
    });
}
