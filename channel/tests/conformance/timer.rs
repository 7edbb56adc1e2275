//! Points in time.

use crate::SOON;
use crate::common::{each_driver, none_for};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventChannel, EventKind, Request};
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

/// The ticks of this stream, missed ones too, when somebody who takes so long for each has got them all.
fn ticks_of(channel: &EventChannel, stream: Request, each: Duration) -> u64 {
    channel.post(stream).unwrap();
    let mut ticks = 0;
    loop {
        std::thread::sleep(each);
        let event = channel.get_event().unwrap();
        if event.is_last() {
            assert!(event.is_timed_out() && event.missed() == 0, "{event:?}");
            return ticks;
        }
        ticks += 1 + event.missed();
        assert!(ticks < 1_000, "it does not end");
    }
}

#[test]
fn an_interval_ends_at_its_limit_however_late_its_ticks_are_got() {
    let us = Duration::from_micros;
    limit(30, || {
        each_driver(|channel| {
            // Nobody looks before all is over: at 5, 10, 15 and 20 ms.
            let stream = Request::interval(us(5_000)).within(us(22_000));
            assert_eq!(ticks_of(&channel, stream, us(40_000)), 4);
            // The last one at the very limit.
            assert_eq!(ticks_of(&channel, Request::interval(us(500)).within(us(2_000)), us(5_000)), 4);
            assert_eq!(ticks_of(&channel, Request::interval(us(500)).within(us(499)), us(5_000)), 0);
            // A tick is due each time that somebody looks. (How many come of those before the limit is luck; none behind it does.)
            let ticks = ticks_of(&channel, Request::interval(us(100)).within(us(10_000)), us(300));
            assert!((1..=100).contains(&ticks), "{ticks} ticks in 10 ms");
            let first = Instant::now();
            let stream = Request::interval_at(first, us(1_000)).within(us(5_500));
            let ticks = ticks_of(&channel, stream, us(20_000));
            let most = (first.elapsed() - us(20_000)).as_millis() as u64;
            assert!((6..=6 + most).contains(&ticks), "{ticks} ticks: from 0 to 5 ms");
            none_for(&channel, us(1_000));
        })
    });
}
