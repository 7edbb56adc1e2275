//! Points in time.

use crate::SOON;
use crate::common::{each_driver, none_for};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub static ROW: Row = Row {
    kind: EventKind::Timer,
    on_descriptor: false,
    completes: Cell::Can { make: short, allowed: &[Outcome::Done] },
    fails: Cell::Cannot("nothing can go wrong with a point in time"),
    cancelled: Cell::Can { make: long, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: short, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: long, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "no time", make: || after(Duration::ZERO), gives: Ok(0) },
        Input {
            words: "a time gone by",
            make: || Scene::new(Request::timer_at(Instant::now() - SOON)),
            gives: Ok(0),
        },
        Input {
            words: "its limit in place of its time",
            make: || limited(Request::timer(Duration::MAX)),
            gives: Ok(0),
        },
        Input {
            words: "nor is its limit an error",
            make: || limited(Request::timer_at(Instant::now())),
            gives: Ok(0),
        },
    ],
};

/// Not early.
pub fn after(time: Duration) -> Scene {
    let start = Instant::now();
    Scene::new(Request::timer(time)).late().check(move |_, outcome| {
        let passed = start.elapsed();
        ensure(outcome != Outcome::Done || passed >= time, || format!("{passed:?} of {time:?}"))
    })
}

/// Each another one, up to 0.2 ms.
fn short() -> Scene {
    static MADE: AtomicU64 = AtomicU64::new(0);
    after(Duration::from_micros(MADE.fetch_add(7, Ordering::Relaxed) % 200))
}

fn long() -> Scene {
    after(Duration::from_secs(1000))
}

fn limited(timer: Request) -> Scene {
    Scene::new(timer.within(Duration::from_micros(10)))
}

#[test]
fn timers_come_in_order_and_never_early() {
    limit(30, || {
        each_driver(|channel| {
            let start = Instant::now();
            for ms in [30, 10, 20] {
                channel.post(Request::timer_at(start + Duration::from_millis(ms)).token(ms)).unwrap();
            }
            for ms in [10, 20, 30] {
                assert_eq!(channel.get_event().unwrap().token(), ms);
                assert!(start.elapsed() >= Duration::from_millis(ms), "early");
            }
        })
    });
}

/// However late the channel is looked at.
#[test]
fn timers_that_are_due_together_come_in_the_order_of_their_deadlines() {
    limit(30, || {
        each_driver(|channel| {
            let past = Instant::now() - SOON;
            for n in [3, 0, 4, 1, 2] {
                let at = past + Duration::from_micros(n);
                channel.post(Request::timer_at(at).token(n)).unwrap();
            }
            let tokens: Vec<_> = (0..5).map(|_| channel.get_event().unwrap().token()).collect();
            assert_eq!(tokens, [0, 1, 2, 3, 4]);
        })
    });
}

#[test]
fn a_timer_for_a_time_gone_by_is_immediate() {
    limit(30, || {
        each_driver(|channel| {
            channel.post(Request::timer_at(Instant::now() - SOON)).unwrap();
            channel.post(Request::timer(Duration::ZERO)).unwrap();
            assert!(channel.get_event().unwrap().result().is_ok());
            assert!(channel.get_event().unwrap().result().is_ok());
        })
    });
}

#[test]
fn the_longest_timer_neither_overflows_nor_fires() {
    limit(30, || {
        each_driver(|channel| {
            let id = channel.post(Request::timer(Duration::MAX)).unwrap();
            none_for(&channel, SOON);
            assert!(channel.cancel(id));
            assert!(channel.get_event().unwrap().is_cancelled());
        })
    });
}
