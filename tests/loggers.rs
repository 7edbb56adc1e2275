//! A logger is code of the program's: whatever it does, the runtime goes on. Each test is a process of its own with such a logger
//! (and without the unkind one of the other tests).

mod net_common;

use ec_test_support::{limit, skipped, this_test_again, threads_and_files};
use event_channel::channel::Driver;
use event_channel::sync::Notification;
use event_channel::{Runtime, run, task, time};
use net_common::{eventually, one_waits_for_the_other};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(50);

/// Called for each line of the runtime's, with its text, except for those that come of such a call itself.
type Then = fn(&str);

struct Logger(Then);

thread_local!(static WITHIN: Cell<bool> = const { Cell::new(false) });

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                WITHIN.set(false);
            }
        }
        if !WITHIN.replace(true) {
            let _leave = Leave;
            (self.0)(&record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Runs `body` in a process of its own with a logger that does `then` at each line.
fn with_logger(name: &str, level: log::LevelFilter, then: Then, body: impl FnOnce()) {
    let Some(mut child) = this_test_again(name) else {
        log::set_logger(Box::leak(Box::new(Logger(then)))).unwrap();
        log::set_max_level(level);
        return limit(60, body);
    };
    let output = child.env_remove("EC_UNKIND_LOGGER").output().unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{said}\n{told}", output.status);
    assert!(said.contains("1 passed"), "{said}");
}

fn monitors() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).ok();
    threads.filter_map(name).filter(|name| name.starts_with("ec-monitor")).count()
}

#[test]
fn it_may_spawn_while_the_default_runtime_begins() {
    static SPAWNED: AtomicUsize = AtomicUsize::new(0);
    static RAN: AtomicUsize = AtomicUsize::new(0);
    let spawns: Then = |line| {
        let len = line.len();
        drop(task::spawn(move || RAN.fetch_add(len.min(1), Ordering::SeqCst)));
        SPAWNED.fetch_add(1, Ordering::SeqCst);
    };
    with_logger("it_may_spawn_while_the_default_runtime_begins", log::LevelFilter::Trace, spawns, || {
        assert_eq!(run(|| 1 + 1), 2);
        assert!(SPAWNED.load(Ordering::SeqCst) > 0);
        // They all run, and there is one default runtime when those too many have gone.
        eventually(|| RAN.load(Ordering::SeqCst) == SPAWNED.load(Ordering::SeqCst));
        eventually(|| monitors() == 1);
    });
}

/// The thread that it hands its line to begins the runtime, and it waits for that.
#[test]
fn it_may_wait_for_a_thread_that_begins_the_default_runtime() {
    static WAITED: AtomicUsize = AtomicUsize::new(0);
    let waits: Then = |_| {
        if WAITED.fetch_add(1, Ordering::SeqCst) == 0 {
            assert_eq!(thread::spawn(|| run(|| 7)).join().unwrap(), 7);
        }
    };
    with_logger(
        "it_may_wait_for_a_thread_that_begins_the_default_runtime",
        log::LevelFilter::Info,
        waits,
        || {
            assert_eq!(run(|| 1 + 1), 2);
            assert!(WAITED.load(Ordering::SeqCst) > 0);
        },
    );
}

/// A logger that panics, and a panic hook that spawns.
#[test]
fn a_panic_hook_may_spawn_while_the_default_runtime_begins() {
    static HOOKED: AtomicUsize = AtomicUsize::new(0);
    let panics: Then = |line| assert!(!line.contains("default runtime"), "on purpose");
    with_logger(
        "a_panic_hook_may_spawn_while_the_default_runtime_begins",
        log::LevelFilter::Trace,
        panics,
        || {
            std::panic::set_hook(Box::new(|_| {
                if HOOKED.fetch_add(1, Ordering::SeqCst) == 0 {
                    task::spawn(|| ()).join().unwrap();
                }
            }));
            assert_eq!(run(|| 1 + 1), 2);
            assert_eq!(HOOKED.load(Ordering::SeqCst), 1);
        },
    );
}

#[test]
fn threads_that_want_the_default_runtime_at_once_begin_one() {
    const MANY: usize = 16;
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    let counts: Then = |line| {
        BEGUN.fetch_add(usize::from(line.contains("a pool begins")), Ordering::SeqCst);
    };
    with_logger(
        "threads_that_want_the_default_runtime_at_once_begin_one",
        log::LevelFilter::Debug,
        counts,
        || {
            let start = Barrier::new(MANY);
            thread::scope(|threads| {
                for number in 0..MANY {
                    let start = &start;
                    threads.spawn(move || {
                        start.wait();
                        assert_eq!(run(move || number), number);
                    });
                }
            });
            eventually(|| monitors() == 1);
            // (On a machine that stands still some may have lost patience.)
            assert!(BEGUN.load(Ordering::SeqCst) < MANY / 2, "{BEGUN:?} were begun");
        },
    );
}

/// It blocks for as long as the pool cannot do what it is to say.
#[test]
fn while_it_blocks_tasks_go_on() {
    static IN_VAIN: AtomicBool = AtomicBool::new(false);
    static OVER: AtomicBool = AtomicBool::new(false);
    let blocks: Then = |line| {
        // What the pool's own threads say, not what `build` does.
        if ["new tasks have to wait", "ec-worker", "handed over"].iter().any(|part| line.contains(part)) {
            IN_VAIN.store(true, Ordering::SeqCst);
            eventually(|| OVER.load(Ordering::SeqCst));
        }
    };
    with_logger("while_it_blocks_tasks_go_on", log::LevelFilter::Trace, blocks, || {
        if let Some(why) = task::why_not() {
            return skipped(why);
        }
        for driver in Driver::ALL {
            OVER.store(false, Ordering::SeqCst);
            IN_VAIN.store(false, Ordering::SeqCst);
            let runtime = match Runtime::builder().cores(1).max_threads(4).driver(driver).build() {
                Ok(runtime) => runtime,
                Err(error) => return skipped(&format!("{driver}: {error}")),
            };
            let (let_go, held) = mpsc::channel::<()>();
            let held = std::sync::Arc::new(Mutex::new(held));
            let block = || {
                let held = held.clone();
                runtime.spawn(move || held.lock().unwrap().recv().is_err())
            };
            let blocked: Vec<_> = (0..6).map(|_| block()).collect();
            eventually(|| runtime.metrics().cap_hits > 0);
            eventually(|| IN_VAIN.load(Ordering::SeqCst));
            drop(let_go);
            blocked.into_iter().for_each(|task| assert!(task.join().unwrap()));
            // The logger still blocks.
            (0..20).for_each(|_| one_waits_for_the_other(&runtime));
            runtime.run(|| time::sleep(Duration::from_millis(2)));
            let error = runtime.shutdown(SHORT).unwrap_err();
            assert!(error.to_string().contains("the logger"), "{error}");
            OVER.store(true, Ordering::SeqCst);
        }
        eventually(|| threads_and_files().0 == 0);
    });
}

#[test]
fn its_panics_do_not_come_out_of_the_pool() {
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let panics: Then = |line| {
        // (What the channel and the tasks say is not the pool's.)
        if ["event channel: driver", "tasks have thread-locals"].iter().any(|other| line.starts_with(other)) {
            return;
        }
        LINES.lock().unwrap().push(line.to_owned());
        std::panic::resume_unwind(Box::new("from a logger"));
    };
    with_logger("its_panics_do_not_come_out_of_the_pool", log::LevelFilter::Trace, panics, || {
        if let Some(why) = task::why_not() {
            return skipped(why);
        }
        assert_eq!(run(|| 7), 7);
        let builder = Runtime::builder().cores(1).max_threads(4).keep_alive(Duration::ZERO);
        let runtime = builder.on_event(|_| std::panic::resume_unwind(Box::new("from a listener"))).build();
        let runtime = runtime.unwrap();
        let (let_go, held) = mpsc::channel::<()>();
        let held = std::sync::Arc::new(Mutex::new(held));
        for _ in 0..6 {
            let held = held.clone();
            drop(runtime.spawn(move || held.lock().unwrap().recv().is_err()));
        }
        eventually(|| runtime.metrics().cap_hits > 0);
        drop(let_go);
        eventually(|| runtime.metrics().tasks_live == 0);
        (0..5).for_each(|_| one_waits_for_the_other(&runtime));
        // One that would not stop is named in a line.
        static NEVER: Notification = Notification::new();
        drop(runtime.spawn(|| NEVER.wait()));
        drop(runtime);
        let seen = |part: &str| LINES.lock().unwrap().iter().any(|line| line.contains(part));
        for part in [
            "the default runtime begins",
            "a pool begins",
            "ec-worker-0 begins",
            "core 0 is handed over",
            "new tasks have to wait",
            "the listener to the events of a pool panicked",
            "ec-worker-1 leaves",
            "a pool is shut down",
            "workers are to leave",
            "a pool has ended",
            "a runtime was dropped",
        ] {
            assert!(seen(part), "no line says {part:?}: {:#?}", LINES.lock().unwrap());
        }
        assert_eq!(run(|| 7), 7);
    });
}

/// As the last one that has the runtime, too.
#[test]
fn it_may_suspend_and_shut_down() {
    static PLACE: OnceLock<Mutex<Option<Runtime>>> = OnceLock::new();
    static ENDED: AtomicBool = AtomicBool::new(false);
    let ends: Then = |line| {
        time::sleep(Duration::from_millis(1));
        if line.contains("is handed over") {
            let runtime = PLACE.get().and_then(|place| place.lock().unwrap().take());
            if let Some(runtime) = runtime {
                // On a thread of the pool itself: it begins, and returns at once.
                runtime.shutdown(Duration::MAX).unwrap();
                drop(runtime);
                ENDED.store(true, Ordering::SeqCst);
            }
        }
    };
    with_logger("it_may_suspend_and_shut_down", log::LevelFilter::Debug, ends, || {
        if let Some(why) = task::why_not() {
            return skipped(why);
        }
        let runtime = Runtime::builder().cores(1).build().unwrap();
        drop(runtime.spawn(|| thread::sleep(SHORT)));
        drop(runtime.spawn(|| thread::sleep(SHORT)));
        assert!(PLACE.set(Mutex::new(Some(runtime))).is_ok());
        eventually(|| {
            let place = PLACE.get().unwrap().lock().unwrap();
            if let Some(runtime) = &*place {
                drop(runtime.spawn(|| thread::sleep(SHORT)));
            }
            ENDED.load(Ordering::SeqCst)
        });
        eventually(|| threads_and_files().0 == 0);
    });
}
