//! Intervals: when ticks come, which are left out, and what ends the wait for one. In tasks and on plain threads.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::time::{Duration, Instant, Interval, MissedTicks, interval, interval_at, timeout};
use event_channel::{Runtime, task};
use net_common::{each_runtime, each_runtime_of, eventually, until_waiting};
use std::io::{self, ErrorKind};
use std::panic::catch_unwind;
use std::thread;

const PERIOD: Duration = Duration::from_millis(3);

/// On a plain thread, in tasks of each runtime, and in a dedicated one.
fn everywhere(check: fn()) {
    limit(60, || {
        check();
        each_runtime_of(&[1, 2, 8], |runtime| runtime.run(check));
        task::Builder::new().dedicated().spawn(check).unwrap().join().unwrap();
    });
}

fn is_cancel<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.get_ref().is_some_and(|it| it.is::<event_channel::Cancelled>()))
}

#[test]
fn the_nth_tick_is_due_n_periods_after_the_start_and_comes_no_sooner() {
    everywhere(|| {
        let start = Instant::now() + PERIOD;
        // A period that no unit of a clock divides.
        let period = Duration::from_nanos(1_234_567);
        let mut ticks = interval_at(start, period);
        for n in 0..10 {
            let due = if n % 2 == 0 { ticks.tick() } else { ticks.tick_cancellable().unwrap() };
            assert!(Instant::now() >= due);
            assert_eq!(due, start + n * period);
        }
        assert!(ticks.period() == period && ticks.missed_ticks() == MissedTicks::Burst);
    });
}

#[test]
fn the_first_tick_of_an_interval_comes_at_once() {
    everywhere(|| {
        let (before, mut ticks, after) = (Instant::now(), interval(Duration::MAX), Instant::now());
        let due = ticks.tick();
        assert!(before <= due && due <= after);
    });
}

/// An interval whose next tick is late by more than two periods.
fn late(missed: MissedTicks) -> (Instant, Interval) {
    let start = Instant::now();
    let mut ticks = interval_at(start, PERIOD);
    ticks.set_missed_ticks(missed);
    assert_eq!(ticks.tick(), start);
    task::sleep(3 * PERIOD);
    (start, ticks)
}

#[test]
fn missed_ticks_come_all_at_once() {
    everywhere(|| {
        let (start, mut ticks) = late(MissedTicks::Burst);
        for n in 1..6 {
            assert_eq!(ticks.tick(), start + n * PERIOD);
        }
    });
}

#[test]
fn missed_ticks_delay_those_after_them() {
    everywhere(|| {
        let (_, mut ticks) = late(MissedTicks::Delay);
        for _ in 0..3 {
            let before = Instant::now();
            ticks.tick(); // late, and at once
            let after = Instant::now();
            let next = ticks.tick();
            assert!(before + PERIOD <= next && next <= after + PERIOD, "{:?}", next - before);
            task::sleep(3 * PERIOD);
        }
    });
}

#[test]
fn missed_ticks_are_skipped() {
    everywhere(|| {
        let (start, mut ticks) = late(MissedTicks::Skip);
        for _ in 0..3 {
            let before = Instant::now();
            ticks.tick(); // late, and at once
            let after = Instant::now();
            let next = ticks.tick();
            assert_eq!((next - start).as_nanos() % PERIOD.as_nanos(), 0, "it is not in step");
            assert!(before < next && next <= after + PERIOD, "{:?}", next - before);
            task::sleep(3 * PERIOD);
        }
    });
}

#[test]
fn a_tick_that_was_waited_for_is_not_late() {
    everywhere(|| {
        // What wakes up later than it should delays nothing. (But where the machine stands still before the wait begins, or for a period.)
        let mut ticks = interval(PERIOD);
        ticks.set_missed_ticks(MissedTicks::Delay);
        let mut before = ticks.tick();
        let mut in_step = 0;
        while in_step < 3 {
            let due = ticks.tick();
            in_step += u32::from(due == before + PERIOD);
            before = due;
        }
    });
}

#[test]
fn a_reset_begins_anew() {
    everywhere(|| {
        let mut ticks = interval_at(Instant::now() + Duration::from_secs(3600), PERIOD);
        let before = Instant::now();
        ticks.reset();
        let after = Instant::now();
        let due = ticks.tick();
        assert!(before + PERIOD <= due && due <= after + PERIOD);
        assert_eq!(ticks.next(), Some(due + PERIOD));
    });
}

#[test]
fn a_period_of_nothing_is_refused() {
    for begin in [interval as fn(Duration) -> Interval, |period| interval_at(Instant::now(), period)] {
        let panic = catch_unwind(|| begin(Duration::ZERO)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the period of an interval must not be zero"));
    }
}

#[test]
fn a_tick_farther_than_any_clock_shows_never_comes() {
    limit(60, || {
        each_runtime(|runtime| {
            let waits = runtime.spawn(|| {
                let mut ticks = interval(Duration::MAX);
                ticks.tick_cancellable().unwrap();
                let result = ticks.tick_cancellable();
                assert!(is_cancel(&result), "{result:?}");
                ticks.reset();
                ticks.tick();
            });
            until_waiting(runtime, "tick");
            waits.cancel();
            until_waiting(runtime, "sleep");
            assert!(!waits.is_finished());
            // It is abandoned with the runtime.
            assert!(runtime.shutdown(PERIOD).is_err());
        });
        let mut ticks = interval(Duration::MAX);
        ticks.tick();
        let result = timeout(PERIOD, || ticks.tick_cancellable());
        assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_cancel_and_a_deadline_end_the_wait_once_and_take_no_tick() {
    everywhere(|| {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut ticks = interval_at(start, PERIOD);
        timeout(PERIOD, || {
            let result = ticks.tick_cancellable();
            assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
            let mut others = interval(PERIOD);
            let first = others.tick_cancellable().unwrap();
            assert_eq!(others.tick_cancellable().unwrap(), first + PERIOD);
        });
        assert!(format!("{ticks:?}").contains(&format!("{start:?}")), "{ticks:?}");
    });
    limit(60, || {
        each_runtime(|runtime| {
            let start = Instant::now() + Duration::from_secs(3600);
            let waits = runtime.spawn(move || {
                let mut ticks = interval_at(start, PERIOD);
                let result = ticks.tick_cancellable();
                assert!(is_cancel(&result) && task::is_cancelled(), "{result:?}");
                let result = timeout(PERIOD, || ticks.tick_cancellable());
                assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
                ticks
            });
            until_waiting(runtime, "tick");
            waits.cancel();
            let ticks = format!("{:?}", waits.join().unwrap());
            assert!(ticks.contains(&format!("{start:?}")), "{ticks}");
        });
    });
}

#[test]
fn a_loop_that_is_always_late_ends_with_a_cancel_or_a_deadline() {
    fn too_long(ticks: &mut Interval) -> io::Error {
        loop {
            if let Err(error) = ticks.tick_cancellable() {
                return error;
            }
            task::sleep(2 * ticks.period());
        }
    }
    everywhere(|| {
        let mut ticks = interval(Duration::from_micros(50));
        let error = timeout(PERIOD, || too_long(&mut ticks));
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        ticks.tick_cancellable().unwrap();
    });
    limit(60, || {
        each_runtime(|runtime| {
            let late = runtime.spawn(|| too_long(&mut interval(Duration::from_micros(50))));
            late.cancel();
            assert!(is_cancel(&Err::<(), _>(late.join().unwrap())));
            // A shutdown, too.
            let late = runtime.spawn(|| too_long(&mut interval(Duration::from_micros(50))));
            runtime.shutdown(Duration::from_secs(30)).unwrap();
            assert!(is_cancel(&Err::<(), _>(late.join().unwrap())));
        });
    });
}

#[test]
fn tick_is_neither_cancelled_nor_shortened_by_a_deadline() {
    limit(60, || {
        each_runtime(|runtime| {
            // Again, should it have ended before it could be cancelled.
            let mut cancelled = false;
            while !cancelled {
                let begins = Instant::now() + 10 * PERIOD;
                let waits = runtime.spawn(move || {
                    let mut ticks = interval_at(begins, PERIOD);
                    let due = timeout(Duration::ZERO, || ticks.tick());
                    assert!(due == begins && Instant::now() >= due);
                    task::is_cancelled()
                });
                eventually(|| runtime.dump().to_string().contains("sleep") || waits.is_finished());
                waits.cancel();
                cancelled = waits.join().unwrap();
            }
        });
    });
}

/// A cancel comes about when the tick does: each of them is had once, in whichever order.
#[test]
fn a_cancel_beside_a_tick_takes_nothing_and_is_not_lost() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            for round in 0..100 {
                let begins = Instant::now() + Duration::from_micros(300);
                let waits = runtime.spawn(move || {
                    let mut ticks = interval_at(begins, Duration::from_micros(100));
                    let (mut due, mut cancels) = (Vec::new(), 0);
                    while due.len() < 4 || cancels == 0 {
                        match ticks.tick_cancellable() {
                            Ok(tick) => due.push(tick),
                            error => cancels += u32::from(is_cancel(&error)),
                        }
                    }
                    due.iter().zip(0..).for_each(|(tick, n)| {
                        assert_eq!(*tick, begins + n * Duration::from_micros(100));
                    });
                    cancels
                });
                let when = begins + Duration::from_micros(round % 50 * 10);
                while Instant::now() < when {
                    thread::yield_now();
                }
                waits.cancel();
                assert_eq!(waits.join().unwrap(), 1);
            }
        });
    });
}

#[test]
fn an_interval_goes_from_thread_to_task_and_back() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let start = Instant::now();
        let mut ticks = interval_at(start, PERIOD);
        assert_eq!(ticks.tick(), start);
        let mut ticks = runtime
            .spawn(move || {
                assert_eq!(ticks.tick(), start + PERIOD);
                ticks
            })
            .join()
            .unwrap();
        // Borrowed as well.
        assert_eq!(runtime.run(|| ticks.tick_cancellable().unwrap()), start + 2 * PERIOD);
        assert_eq!(ticks.tick(), start + 3 * PERIOD);
    });
}
