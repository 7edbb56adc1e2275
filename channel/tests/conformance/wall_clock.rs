//! Times of the system's clock.

use crate::SOON;
use crate::common::{each_driver, none_for};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub static ROW: Row = Row {
    kind: EventKind::WallClock,
    on_descriptor: true,
    completes: Cell::Can { make: short, allowed: &[Outcome::Done] },
    fails: Cell::Cannot("nothing can go wrong with a time that has a descriptor"),
    cancelled: Cell::Can { make: long, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: short, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: long, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "a time gone by", make: || at(SystemTime::now() - SOON), gives: Ok(0) },
        Input { words: "the clock's beginning", make: || at(UNIX_EPOCH), gives: Ok(0) },
        Input { words: "before 1970", make: || at(UNIX_EPOCH - Duration::from_secs(1 << 32)), gives: Ok(0) },
        Input {
            words: "a time gone by, and a limit",
            make: || Scene::new(Request::wall_clock(UNIX_EPOCH).within(Duration::from_secs(1000))),
            gives: Ok(0),
        },
        Input {
            words: "a limit that is over before",
            make: || Scene::new(Request::wall_clock(far()).within(Duration::from_micros(10))),
            gives: Err(libc::ETIME),
        },
    ],
};

/// Not early.
pub fn at(time: SystemTime) -> Scene {
    Scene::new(Request::wall_clock(time)).late().check(move |_, outcome| {
        let now = SystemTime::now();
        ensure(outcome != Outcome::Done || now >= time, || format!("{now:?} for {time:?}"))
    })
}

pub fn after(time: Duration) -> Scene {
    at(SystemTime::now() + time)
}

/// Each another one, up to 0.2 ms.
fn short() -> Scene {
    static MADE: AtomicU64 = AtomicU64::new(0);
    after(Duration::from_micros(MADE.fetch_add(7, Ordering::Relaxed) % 200))
}

fn long() -> Scene {
    after(Duration::from_secs(1000))
}

/// As far as the clock goes.
fn far() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(i64::MAX as u64)
}

/// (Those that are due when somebody looks come in any order.)
#[test]
fn times_of_the_clock_come_once_each_and_never_early() {
    limit(30, || {
        each_driver(|channel| {
            let start = SystemTime::now();
            for ms in [30, 10, 20] {
                channel.post(Request::wall_clock(start + Duration::from_millis(ms)).token(ms)).unwrap();
            }
            let mut came: Vec<u64> = Vec::new();
            while came.len() < 3 {
                let event = channel.get_event().unwrap();
                assert!(SystemTime::now() >= start + Duration::from_millis(event.token()), "early");
                came.push(event.token());
            }
            came.sort_unstable();
            assert_eq!(came, [10, 20, 30]);
            none_for(&channel, SOON);
        })
    });
}

#[test]
fn the_furthest_time_of_the_clock_neither_overflows_nor_comes() {
    limit(30, || {
        each_driver(|channel| {
            let id = channel.post(Request::wall_clock(far())).unwrap();
            none_for(&channel, SOON);
            assert!(channel.cancel(id));
            let event = channel.get_event().unwrap();
            assert!(event.is_cancelled());
            // The same time once more.
            let id = channel.post(event.again()).unwrap();
            none_for(&channel, SOON);
            channel.cancel(id);
            assert!(channel.get_event().unwrap().is_cancelled());
        })
    });
}
