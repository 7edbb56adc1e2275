//! A hostile logger. Every test program links it (`use ec_unkind as _`), and where the environment has `EC_UNKIND_LOGGER` it is
//! installed before `main`, at level Trace. Of the runtime's own lines each 16th spawns a task, each 64th panics, and each 64th blocks
//! for a millisecond; what comes of that is written without further ado. At its end a process adds a line with its counts to the file
//! that the variable names.
//!
//! The lines are counted from another number on in each process, so that those which write few have their share. It stands in the
//! file, and `EC_UNKIND_FIRST` sets it.
//!
//! This file has `unsafe` in it: functions that run before and after `main`.

use event_channel::task;
use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const SPAWNS_EACH: u64 = 16;
const PANICS_EACH: u64 = 64;
const BLOCKS_EACH: u64 = 64;

struct Unkind;

static FIRST: AtomicU64 = AtomicU64::new(0);
static LINES: AtomicU64 = AtomicU64::new(0);
static SPAWNED: AtomicU64 = AtomicU64::new(0);
static PANICKED: AtomicU64 = AtomicU64::new(0);
static BLOCKED: AtomicU64 = AtomicU64::new(0);
/// A test of this process wants no other runtime.
static ALONE: AtomicBool = AtomicBool::new(false);

/// The process that the logger was installed in, and the file.
static INSTALLED: OnceLock<(u32, std::ffi::OsString)> = OnceLock::new();

thread_local! {
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

struct Within;

impl Within {
    /// `None`: this thread or task is in the logger already, or so near its end that it has no thread-locals.
    fn enter() -> Option<Within> {
        let first = WITHIN.try_with(|within| !within.replace(true)).unwrap_or(false);
        first.then_some(Within)
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let _ = WITHIN.try_with(|within| within.set(false));
    }
}

/// What the user of a logger feels: the line's arguments are looked at, and their text goes into a buffer.
fn format(record: &log::Record<'_>) {
    let mut text = String::new();
    let _ = write!(text, "{} {}: {}", record.level(), record.target(), record.args());
    black_box(text);
}

impl log::Log for Unkind {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // (Others do not expect what follows.)
        let own = ["ec_", "event_channel"].iter().any(|name| record.target().starts_with(name));
        if !own || !is_this_process() {
            return;
        }
        let Some(_within) = Within::enter() else { return };
        format(record);
        let line = FIRST.load(Ordering::Relaxed) + LINES.fetch_add(1, Ordering::Relaxed);
        if line.is_multiple_of(SPAWNS_EACH) {
            spawn();
        }
        if line % BLOCKS_EACH == 24 {
            BLOCKED.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
        // (One panic more would end the process.)
        if line % PANICS_EACH == 40 && !std::thread::panicking() {
            PANICKED.fetch_add(1, Ordering::Relaxed);
            // Without the hook, whose words nobody wants to read so often.
            std::panic::resume_unwind(Box::new("the unkind logger panics, as it should"));
        }
    }

    fn flush(&self) {}
}

fn spawn() {
    if ALONE.load(Ordering::Relaxed) && ec_pool::current().is_none() {
        return;
    }
    let body = || {
        let numbers: Vec<u32> = (0..100).collect();
        task::yield_now();
        black_box(numbers.iter().sum::<u32>());
    };
    // (After a shutdown there is an error.)
    if task::Builder::new().spawn(body).is_ok() {
        SPAWNED.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_this_process() -> bool {
    !ec_tasks::forked() && INSTALLED.get().is_some_and(|(process, _)| *process == std::process::id())
}

/// Is the logger installed?
pub fn is_installed() -> bool {
    is_this_process()
}

/// So often the logger has blocked the thread that it was called on, in this process.
pub fn blocked() -> usize {
    BLOCKED.load(Ordering::Relaxed) as usize
}

/// From now on the logger begins no default runtime, whose threads would be there besides those that a test counts; in tasks and on
/// workers it spawns all the same. For good: a line may come at any time between two tests. What a test does before this may write
/// lines (`task::migrates()` does), so it comes first.
pub fn no_other_runtime() {
    ALONE.store(true, Ordering::Relaxed);
}

extern "C" fn install() {
    static ONCE: AtomicBool = AtomicBool::new(false);
    let Some(file) = std::env::var_os("EC_UNKIND_LOGGER").filter(|file| !file.is_empty()) else { return };
    if ONCE.swap(true, Ordering::Relaxed) {
        return;
    }
    let process = std::process::id();
    let first = std::env::var("EC_UNKIND_FIRST").ok().and_then(|first| first.parse().ok());
    FIRST.store(first.unwrap_or(u64::from(process) % PANICS_EACH), Ordering::Relaxed);
    let _ = INSTALLED.set((process, file));
    if log::set_logger(&Unkind).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
}

extern "C" fn report() {
    let Some((process, file)) = INSTALLED.get() else { return };
    if *process != std::process::id() {
        return;
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let line = format!(
        "lines {} spawned {} panicked {} blocked {} first {} program {}\n",
        count(&LINES),
        count(&SPAWNED),
        count(&PANICKED),
        count(&BLOCKED),
        count(&FIRST),
        std::env::args().next().unwrap_or_default(),
    );
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(file) {
        let _ = file.write_all(line.as_bytes());
    }
}

// SAFETY: the section holds functions without arguments that matter, which run before `main`, when std can be used.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = install;

// SAFETY: as above, at the process's end.
#[used]
#[unsafe(link_section = ".fini_array")]
static AFTER_MAIN: extern "C" fn() = report;
