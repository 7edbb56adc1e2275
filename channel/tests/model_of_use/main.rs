//! Random sequences of what a program may do with a channel, against a simple model: what is in flight, what may come of it (of a
//! stream: its items, and one last event), and whether something has to come. One thread does it all, so a sequence that fails can be
//! made shorter.
//!
//! By default it is the same short run each time. `EC_PROPTEST_SECONDS=3600` runs for an hour on each driver, from a seed that is
//! printed; `EC_PROPTEST_SEED` begins with that one.

#[path = "../common/mod.rs"]
mod common;
mod course;
mod pair;
mod play;
mod posted;
mod steps;

use ec_channel::{Driver, EventChannel};
use ec_test_support::limit;
use ec_unkind as _;
use play::Play;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use steps::Step;

/// To each seed so many sequences.
const CASES: u32 = 64;
/// Seeds, where no time is given.
const ROUNDS: u64 = 3;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

/// What comes of a sequence on this driver.
fn play(driver: Driver, short: bool, steps: &[Step], patience: Duration) -> Result<(), TestCaseError> {
    let builder = EventChannel::builder().driver(driver);
    let channel = if short { builder.queue_depth(8) } else { builder }.build().unwrap();
    let mut play = Play::new(&channel, patience);
    steps.iter().try_for_each(|step| play.step(step))?;
    play.end()
}

fn try_seed(driver: Driver, seed: u64) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    // What has failed may be made shorter in haste: a sequence that fails then by that alone is none the less one of a run that failed.
    let (patience, first) = (Cell::new(Duration::from_secs(30)), Cell::new(0));
    let tried = runner.run(&(proptest::bool::ANY, steps::steps()), |(short, steps)| {
        let result = play(driver, short, &steps, patience.get());
        if result.is_err() && first.get() == 0 {
            first.set(steps.len());
            patience.set(Duration::from_millis(300));
        }
        result
    });
    match tried {
        Ok(()) => {}
        Err(TestError::Fail(why, (short, steps))) => {
            let queue = if short { "a queue of 8" } else { "the queue as it is by default" };
            panic!(
                "on {driver} with {queue}, seed {seed}: {why}; of {} steps these are left: {steps:#?}",
                first.get()
            )
        }
        Err(TestError::Abort(why)) => panic!("on {driver}, seed {seed}: {why}"),
    }
}

fn try_driver(driver: Driver) {
    let Some(seconds) = number("EC_PROPTEST_SECONDS") else {
        let first = number("EC_PROPTEST_SEED").unwrap_or(0);
        return limit(240, || (first..first + ROUNDS).for_each(|seed| try_seed(driver, seed)));
    };
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut seed = number("EC_PROPTEST_SEED").unwrap_or_else(clock);
    println!("{driver}: from seed {seed} on");
    limit(seconds + 240, || {
        let (began, first) = (Instant::now(), seed);
        while began.elapsed() < Duration::from_secs(seconds) {
            try_seed(driver, seed);
            seed += 1;
        }
        println!("{driver}: {} sequences, the last seed was {}", u64::from(CASES) * (seed - first), seed - 1);
    });
}

#[test]
fn whatever_is_done_in_whatever_order_comes_to_what_the_model_says() {
    common::drivers().into_iter().for_each(try_driver);
}

#[test]
fn also_where_requests_are_carried_out_one_at_a_time() {
    if std::env::var_os(ec_channel::DRIVER_VARIABLE).is_some_and(|driver| driver != "direct") {
        return ec_test_support::skipped("another driver is asked for by name");
    }
    try_driver(Driver::Direct);
}
