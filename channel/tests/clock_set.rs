//! The system's clock is set, forward and back. That is the whole machine's: so only where somebody asks for it, by `EC_TEST_SETS_CLOCK`.

mod common;

use common::{each_driver, none_for};
use ec_channel::{EventChannel, Request};
use ec_test_support::{limit, skipped};
use ec_unkind as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const ALLOWED: &str = "EC_TEST_SETS_CLOCK";
const STEP: Duration = Duration::from_secs(10);

/// The clock is set to what it shows, with this added to it. An error says that it cannot be.
fn add(seconds: i64) -> std::io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // SAFETY: all zero is a valid value of this plain structure.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    time.tv_sec = (now.as_secs() as i64 + seconds) as libc::time_t;
    time.tv_nsec = now.subsec_nanos() as _;
    // SAFETY: a live time.
    match unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &time) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Forward, until it is dropped.
struct Forward;

impl Forward {
    fn new() -> std::io::Result<Self> {
        add(STEP.as_secs() as i64).map(|()| Forward)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        add(-(STEP.as_secs() as i64)).unwrap();
    }
}

#[test]
fn a_time_of_the_clock_comes_when_the_clock_says_so() {
    if std::env::var_os(ALLOWED).is_none() {
        return skipped(&format!("it sets the machine's clock, and {ALLOWED} does not ask for that"));
    }
    if let Err(error) = add(0) {
        return skipped(&format!("the clock cannot be set: {error}"));
    }
    let post = |channel: &EventChannel, token, ahead| {
        channel.post(Request::wall_clock(SystemTime::now() + ahead).token(token)).unwrap()
    };
    limit(60, || {
        each_driver(|channel| {
            let soon = Duration::from_millis(100);
            let start = Instant::now();
            post(&channel, 1, STEP);
            post(&channel, 2, 2 * STEP);
            none_for(&channel, soon);
            let forward = Forward::new().unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            assert!(start.elapsed() < STEP, "nobody has waited for it");
            none_for(&channel, soon);
            // It was not far off, and is now.
            post(&channel, 3, soon);
            drop(forward);
            none_for(&channel, 3 * soon);
            let forward = Forward::new().unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 3);
            drop(forward);
        })
    });
}
