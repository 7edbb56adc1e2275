//! Events with a handler are served by the pool's workers: proactor style, with no task at all.

mod common;

use common::{go, pool, settled_pool, until, until_idle};
use ec_channel::raw::{Op, Timer};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn each_handler_runs_once() {
    for cores in [1, 2, 8] {
        limit(60, || {
            let pool = pool(cores);
            let runs = Arc::new(AtomicUsize::new(0));
            for i in 0..500u64 {
                let runs = runs.clone();
                let request = Request::timer(Duration::from_micros(i)).on_complete(move |_, event| {
                    assert_eq!(event.kind(), EventKind::Timer);
                    runs.fetch_add(1, Ordering::SeqCst);
                });
                pool.channel().post(request).unwrap();
            }
            until("all have run", || runs.load(Ordering::SeqCst) == 500);
            pool.shutdown(Duration::from_secs(10)).unwrap();
            assert_eq!(runs.load(Ordering::SeqCst), 500);
        });
    }
}

#[test]
fn a_panic_in_a_handler_costs_no_worker() {
    limit(60, || {
        let pool = pool(1);
        let runs = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let runs = runs.clone();
            let request = Request::timer(Duration::ZERO).on_complete(move |_, _| {
                runs.fetch_add(1, Ordering::SeqCst);
                panic!("on purpose");
            });
            pool.channel().post(request).unwrap();
        }
        until("all have run", || runs.load(Ordering::SeqCst) == 20);
        assert_eq!(go(&pool, || 7).join().unwrap(), 7);
    });
}

/// An operation whose completion calls `wake`, after so long.
fn after(pool: &ec_pool::PoolHandle, span: Duration, wake: unsafe fn(usize)) {
    let mut operation = Op::new(Timer, wake, 0);
    operation.set_deadline(Some(Instant::now() + span));
    // SAFETY: it stays for ever.
    unsafe { pool.channel().submit_raw(0, Box::leak(Box::new(operation)).raw()) };
}

/// A payload of a panic whose destructor panics, as often as the number says.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Bomb(self.0 - 1));
        }
    }
}

#[test]
fn a_payload_that_panics_when_dropped_costs_no_worker() {
    limit(60, || {
        let pool = settled_pool(1);
        let request = Request::timer(Duration::ZERO).on_complete(|_, _| std::panic::panic_any(Bomb(3)));
        pool.channel().post(request).unwrap();
        unsafe fn wake(_: usize) {
            std::panic::panic_any(Bomb(3));
        }
        after(&pool, Duration::ZERO, wake);
        until("both are complete", || pool.channel().metrics().in_flight == 0);
        assert_eq!(go(&pool, || 7).join().unwrap(), 7);
        assert_eq!(pool.metrics().workers, 1);
        pool.shutdown(Duration::from_secs(30)).unwrap();
    });
}

#[test]
fn what_is_in_flight_at_shutdown_comes_to_its_handler_as_cancelled() {
    limit(60, || {
        let pool = pool(2);
        let cancelled = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let cancelled = cancelled.clone();
            let request = Request::timer(Duration::from_secs(3600)).on_complete(move |_, event| {
                assert!(event.result().is_err());
                cancelled.fetch_add(1, Ordering::SeqCst);
            });
            pool.channel().post(request).unwrap();
        }
        pool.shutdown(Duration::from_secs(30)).unwrap();
        assert_eq!(cancelled.load(Ordering::SeqCst), 50);
    });
}

/// It has been taken from the port, and is in no queue yet.
#[test]
fn a_shutdown_waits_for_the_handler_of_an_event_that_is_on_its_way() {
    static INSIDE: AtomicBool = AtomicBool::new(false);
    unsafe fn long(_: usize) {
        INSIDE.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(100));
    }
    // Whether both came out of the port at once, and what was waited for.
    let round = || {
        let pool = settled_pool(1);
        until_idle(&pool);
        let runs = Arc::new(AtomicUsize::new(0));
        let theirs = runs.clone();
        INSIDE.store(false, Ordering::SeqCst);
        let span = Duration::from_millis(20);
        after(&pool, span, long);
        let request = Request::timer(span).on_complete(move |_, _| {
            theirs.fetch_add(1, Ordering::SeqCst);
        });
        pool.channel().post(request).unwrap();
        until("the first one is delivered", || INSIDE.load(Ordering::SeqCst));
        let at_once = pool.channel().metrics().in_flight == 0;
        pool.shutdown(Duration::from_secs(30)).unwrap();
        (at_once, runs.load(Ordering::SeqCst))
    };
    limit(60, || {
        for _ in 0..100 {
            let (at_once, runs) = round();
            assert_eq!(runs, 1);
            if at_once {
                return;
            }
        }
        panic!("two timers of the same time were never due together");
    });
}

/// Code of the program's that runs in a worker's loop has no task to go on with elsewhere: the core stays.
#[test]
fn a_hint_outside_of_tasks_and_handlers_hands_nothing_over() {
    static DONE: AtomicBool = AtomicBool::new(false);
    unsafe fn hint(_: usize) {
        ec_pool::blocking(|| ());
        DONE.store(true, Ordering::SeqCst);
    }
    limit(60, || {
        let pool = pool(1);
        // Leaves a spare thread.
        go(&pool, || std::thread::sleep(Duration::from_millis(50))).join().unwrap();
        until("there is a spare thread", || pool.metrics().workers_spare > 0);
        let before = pool.metrics().handed_over;
        after(&pool, Duration::ZERO, hint);
        until("the hint was given", || DONE.load(Ordering::SeqCst));
        assert_eq!(go(&pool, || 7).join().unwrap(), 7);
        assert_eq!((pool.metrics().workers_stray, pool.metrics().handed_over), (0, before));
    });
}

#[test]
fn a_handler_can_spawn_tasks_in_its_pool() {
    limit(60, || {
        let pool = pool(1);
        let runs = Arc::new(AtomicUsize::new(0));
        let mine = runs.clone();
        let request = Request::timer(Duration::ZERO).on_complete(move |_, _| {
            let (pool, mine) = (ec_pool::current().unwrap(), mine.clone());
            drop(go(&pool, move || mine.fetch_add(1, Ordering::SeqCst)));
        });
        pool.channel().post(request).unwrap();
        until("the task has run", || runs.load(Ordering::SeqCst) == 1);
    });
}
