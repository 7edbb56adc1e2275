//! A soak: tasks do everything at random, above all what blocks their thread, and what they do is checked all the while.
//!
//! ```text
//! tests/soak.sh                        half a minute on each driver
//! tests/soak.sh 600                    five minutes on each
//! cargo run --release -p ec-soak -- seconds=60 seed=1 epoch=1500 stall=20 verbose=1
//! ```
//! * `seconds`: about so long. `seed`: what all choices follow from (the order in which things happen is the
//!   scheduler's). `epoch`: milliseconds of one epoch, about. `stall`: so many seconds without progress are a hang.
//!   `verbose=1`: a line for each epoch.
//!
//! An epoch (`epoch.rs`) is a population of actors (`actor.rs`), each of which takes random steps (`steps`).
//! At its end all has to be as before: tasks, events, threads, descriptors, memory. One or more epochs share a
//! runtime. Whatever is wrong ends the program with a message, the seed, and what the runtime says of itself (`watch.rs`).
//!
//! Exit codes: 0 all well, 1 something was wrong, 2 wrong arguments, 77 this machine refuses the driver that
//! `EVENT_CHANNEL_DRIVER` asks for; a hang aborts.

mod actor;
mod epoch;
mod post;
mod random;
mod steps;
mod tally;
mod watch;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use random::Random;
use watch::{Held, fail};

/// The first epochs, in which caches fill.
const WARM_UP: usize = 3;
/// So many epochs at either end are compared.
const COMPARED: usize = 5;

struct Options {
    seconds: u64,
    seed: u64,
    epoch: Duration,
    stall: Duration,
    verbose: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("soak: {error}; see the head of tests/soak/src/main.rs");
            return ExitCode::from(2);
        }
    };
    if let Some(why) = refused() {
        println!("soak: skipped: io_uring, which this machine refuses: {why}");
        return ExitCode::from(77);
    }
    watch::start(options.seed, options.stall);
    soak(&options);
    ExitCode::SUCCESS
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut seconds, mut seed, mut epoch, mut stall, mut verbose) = (30, None, None, 20, 0);
    for argument in arguments {
        let wrong = || format!("{argument} is not understood");
        let (name, value) = argument.split_once('=').ok_or_else(wrong)?;
        let value: u64 = value.parse().map_err(|_| wrong())?;
        match name {
            "seconds" => seconds = value.max(1),
            "seed" => seed = Some(value),
            "epoch" => epoch = Some(value),
            "stall" => stall = value.max(1),
            "verbose" => verbose = value,
            _ => return Err(wrong()),
        }
    }
    // Enough of them to compare the first with the last.
    let epoch = epoch.unwrap_or(seconds * 1000 / 20).clamp(100, 4000);
    Ok(Options {
        seconds,
        seed: seed.unwrap_or_else(random::seed),
        epoch: Duration::from_millis(epoch),
        stall: Duration::from_secs(stall),
        verbose: verbose > 0,
    })
}

/// Why io_uring cannot be had, if it is asked for.
fn refused() -> Option<std::io::Error> {
    if std::env::var("EVENT_CHANNEL_DRIVER").as_deref() != Ok("io_uring") {
        return None;
    }
    // SAFETY: without a place for its answer the call can only fail: EFAULT where io_uring may be used.
    unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, std::ptr::null_mut::<u8>()) };
    let error = std::io::Error::last_os_error();
    (error.raw_os_error() != Some(libc::EFAULT)).then_some(error)
}

fn soak(options: &Options) {
    let mut random = Random::new(options.seed);
    let end = Instant::now() + Duration::from_secs(options.seconds);
    // What is opened once for the whole process.
    let driver = epoch::first_life();
    println!("soak: driver {driver}, seed={}, {} s", options.seed, options.seconds);
    let before = Held::settled();
    let mut memory = Vec::new();
    while Instant::now() < end {
        let runtime = epoch::runtime(&mut random);
        let alive = epoch::alive(&runtime);
        for _ in 0..random.between(1, 3) {
            let length = options.epoch.mul_f64(random.between(60, 140) as f64 / 100.0);
            let length = length.min(end.saturating_duration_since(Instant::now()));
            epoch::run(&runtime, &mut random, length);
            let held = epoch::settle(&runtime, &alive);
            memory.push(held.memory);
            if options.verbose {
                println!("epoch {:>4}: {} KiB, {:?}", memory.len(), held.memory >> 10, runtime.metrics());
            }
            if Instant::now() >= end {
                break;
            }
        }
        epoch::end(runtime);
        Held::returns_to(&before);
    }
    println!("soak: {driver}: {}, {}", tally::line(), flat(&memory));
}

/// Memory must not grow from the first epochs (after the very first) to the last ones.
fn flat(memory: &[usize]) -> String {
    let warm = &memory[WARM_UP.min(memory.len())..];
    let compared = COMPARED.min(warm.len() / 2);
    if compared < 2 {
        return format!("RSS not compared: {} epochs are too few", memory.len());
    }
    let median = |epochs: &[usize]| {
        let mut sorted = epochs.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    let (first, last) = (median(&warm[..compared]), median(&warm[warm.len() - compared..]));
    let text = format!("RSS {} to {} KiB in {} epochs", first >> 10, last >> 10, memory.len());
    if last > first + first / 5 + (8 << 20) {
        let all: Vec<_> = memory.iter().map(|bytes| bytes >> 10).collect();
        fail!("memory grows: {text}; KiB at the end of each: {all:?}");
    }
    text
}
