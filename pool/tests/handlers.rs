//! Events with a handler are served by the pool's workers: proactor style, with no task at all.

mod common;

use common::{go, pool, settled_pool, until};
use ec_channel::raw::{Action, RawOp};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
        let mut operation = RawOp::new(Action::Timer, wake, 0);
        operation.set_deadline(Some(Instant::now()));
        // SAFETY: it stays for ever.
        unsafe { pool.channel().submit_raw(0, Box::leak(Box::new(operation))) };
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
