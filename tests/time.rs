//! Sleeping, in tasks and on plain threads. Deadlines around socket calls are in `net_timeouts.rs`.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::time::{Duration, Instant, sleep, sleep_until, timeout};
use event_channel::{Runtime, task};
use net_common::{each_run, each_runtime, eventually, until_waiting};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn sleep_takes_at_least_its_time() {
    limit(30, || {
        let check = || {
            for span in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(1500), SHORT] {
                let start = Instant::now();
                sleep(span);
                assert!(start.elapsed() >= span);
            }
            let deadline = Instant::now() + SHORT;
            sleep_until(deadline);
            assert!(Instant::now() >= deadline);
            sleep_until(deadline);
        };
        check();
        each_run(check);
    });
}

#[test]
fn a_thousand_sleepers_share_one_core() {
    limit(30, || {
        each_run(|| {
            let start = Instant::now();
            let spans = || (0..1000).map(|n| Duration::from_millis(50 + n % 50));
            let sleepers: Vec<_> = spans().map(|span| task::spawn(move || sleep(span))).collect();
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
            let one_after_the_other: Duration = spans().sum();
            assert!(start.elapsed() < one_after_the_other / 2, "{:?}", start.elapsed());
        });
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    limit(60, || {
        // On one core, so that nothing but the timers decides.
        let runtime = Runtime::builder().cores(1).build().unwrap();
        let (woke, order) = std::sync::mpsc::channel();
        let start = Instant::now();
        let (late, first) = (Arc::new(AtomicBool::new(false)), start + Duration::from_millis(600));
        for n in [5, 1, 4, 2, 3, 0] {
            let (woke, late) = (woke.clone(), late.clone());
            runtime.spawn(move || {
                if Instant::now() >= first {
                    late.store(true, Ordering::Relaxed);
                }
                sleep_until(first + Duration::from_millis(n * 60));
                woke.send(n).unwrap();
            });
        }
        drop(woke);
        let order: Vec<_> = order.iter().collect();
        // On a machine that stood still so long that not all were asleep in time it proves nothing.
        assert!(order == [0, 1, 2, 3, 4, 5] || late.load(Ordering::Relaxed), "{order:?}");
    });
}

#[test]
fn sleep_is_neither_cancelled_nor_shortened_by_a_deadline() {
    limit(30, || {
        each_runtime(|runtime| {
            // Again, should it have ended before it could be cancelled.
            let mut waited = false;
            while !waited {
                let sleeper = runtime.spawn(|| {
                    let start = Instant::now();
                    timeout(Duration::from_millis(1), || sleep(5 * SHORT));
                    start.elapsed()
                });
                eventually(|| {
                    waited = runtime.dump().to_string().contains("sleep");
                    waited || sleeper.is_finished()
                });
                sleeper.cancel();
                assert!(sleeper.join().unwrap() >= 5 * SHORT);
            }
        });
    });
}

#[test]
fn a_sleep_without_end_does_not_overflow() {
    limit(30, || {
        each_runtime(|runtime| {
            let sleeper = runtime.spawn(|| sleep(Duration::MAX));
            until_waiting(runtime, "sleep");
            assert!(!sleeper.is_finished());
            // It is abandoned with the runtime, which says so and does not hang.
            assert!(runtime.shutdown(SHORT).is_err());
        });
    });
}

#[test]
fn timeout_returns_what_its_function_returns() {
    limit(30, || {
        let check = || {
            assert_eq!(timeout(Duration::MAX, || 1), 1);
            assert_eq!(
                timeout(Duration::ZERO, || "run to its end all the same"),
                "run to its end all the same"
            );
        };
        check();
        each_run(check);
    });
}
