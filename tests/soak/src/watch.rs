//! Who ends the program when something is wrong: a failed check, a panic that nobody planned, no progress.

use std::fs;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use event_channel::Runtime;

/// What a task panics with when it is to.
pub struct Planned(pub u64);

static SEED: OnceLock<u64> = OnceLock::new();
static PROGRESS: AtomicU64 = AtomicU64::new(0);
/// The runtime of the epoch, for its last words.
static RUNTIME: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);

/// Something is wrong.
macro_rules! fail {
    ($($what:tt)*) => { crate::watch::failed(format_args!($($what)*)) };
}
pub(crate) use fail;

/// As `assert!`, but it ends the program: a panic in a task would only be that task's.
macro_rules! check {
    ($condition:expr, $($what:tt)*) => { if !$condition { crate::watch::fail!($($what)*) } };
}
pub(crate) use check;

pub fn start(seed: u64, stall: Duration) {
    let _ = SEED.set(seed);
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Planned>() {
            default(info);
            fail!("a panic that nobody planned");
        }
    }));
    thread::Builder::new()
        .name("watchdog".into())
        .spawn(move || watch(stall))
        .expect("a thread to watch from");
}

/// Somebody has got on.
pub fn progress() {
    PROGRESS.fetch_add(1, Ordering::Relaxed);
}

/// From now on this is the runtime to ask.
pub fn about(runtime: Option<Arc<Runtime>>) {
    *RUNTIME.lock().expect("nobody panics with it") = runtime;
}

pub fn failed(what: std::fmt::Arguments<'_>) -> ! {
    // The words of the first one, if several fail; the others wait for the end.
    static FIRST: Mutex<()> = Mutex::new(());
    let _first = FIRST.lock();
    eprintln!("soak: FAILED: {what}");
    last_words();
    // Where it is read first, too.
    eprintln!("soak: FAILED: {what}");
    std::process::exit(1);
}

fn watch(stall: Duration) {
    let mut last = (PROGRESS.load(Ordering::Relaxed), Instant::now());
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = PROGRESS.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() >= stall {
            eprintln!("soak: HANGS: no progress for {} s", stall.as_secs());
            // The runtime may not be able to speak any more.
            thread::spawn(|| {
                thread::sleep(Duration::from_secs(10));
                std::process::abort();
            });
            threads();
            last_words();
            std::process::abort();
        }
    }
}

fn last_words() {
    eprintln!("soak: seed={}", SEED.get().copied().unwrap_or_default());
    let runtime = RUNTIME.try_lock().ok().and_then(|runtime| runtime.clone());
    if let Some(runtime) = runtime {
        eprintln!("{:?}\n{}", runtime.metrics(), runtime.dump());
        // Its end would wait for what hangs.
        std::mem::forget(runtime);
    }
}

/// Each thread with its state and the number of the system call that it is in.
fn threads() {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return };
    for task in tasks.flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let stat = read("stat");
        let state = stat.rsplit(')').next().and_then(|rest| rest.chars().nth(1)).unwrap_or('?');
        let call = read("syscall");
        let call = call.split_whitespace().next().unwrap_or("?");
        eprintln!("  {} {}: {state}, call {call}", task.file_name().display(), read("comm").trim());
    }
}

/// What the process holds of the system's.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub memory: usize,
    pub descriptors: usize,
    pub threads: usize,
}

impl Held {
    pub fn now() -> Held {
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
        let count = |what: &str| fs::read_dir(format!("/proc/self/{what}")).map_or(0, Iterator::count);
        Held { memory: pages * 4096, descriptors: count("fd"), threads: count("task") }
    }

    /// When two looks in a row agree: threads that were joined are listed for a moment longer.
    pub fn settled() -> Held {
        loop {
            let before = Held::now();
            thread::sleep(Duration::from_millis(50));
            let now = Held::now();
            if (before.descriptors, before.threads) == (now.descriptors, now.threads) {
                return now;
            }
        }
    }

    /// No more threads and descriptors than `before`, in a while.
    pub fn returns_to(before: &Held) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let now = Held::now();
            if now.descriptors <= before.descriptors && now.threads <= before.threads {
                return;
            }
            if Instant::now() > end {
                let open = fs::read_dir("/proc/self/fd").map_or_else(
                    |_| Vec::new(),
                    |open| open.flatten().filter_map(|file| fs::read_link(file.path()).ok()).collect(),
                );
                threads();
                fail!("after the end of a runtime {now:?}, before it {before:?}; open: {open:?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
