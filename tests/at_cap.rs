//! Who hears of it when a runtime has as many threads as it may have: somebody always does.

mod net_common;

use ec_test_support::{limit, skipped, this_test_again};
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::runtime::{Builder, PoolEvent};
use event_channel::{Runtime, task};
use net_common::{build, eventually};
use std::io::{self, BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// The lines about the cap on stderr of a process of its own in which each runtime meets its cap twice, and how many runtimes there
/// were. `None` in that process. There the first meeting lasts until `is_heard` of it.
fn said(
    name: &str,
    settings: impl Fn(Builder) -> Builder,
    is_heard: impl Fn(usize) -> bool,
) -> Option<(Vec<String>, usize)> {
    let Some(mut again) = this_test_again(name) else {
        let mut met = 0;
        for driver in Driver::ALL {
            if let Some(runtime) = build(driver, settings(Runtime::builder().cores(1).max_threads(6))) {
                met += 1;
                meet_the_cap(&runtime, || runtime.metrics().cap_hits == 1 && is_heard(met));
                meet_the_cap(&runtime, || runtime.metrics().cap_hits == 2);
                // (It waits for those who have something to say.)
                runtime.shutdown(Duration::from_secs(20)).unwrap();
                println!("one runtime");
            }
        }
        return None;
    };
    // (What a logger does is not meant here.)
    let again = again.env_remove("EC_UNKIND_LOGGER");
    let mut child =
        again.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut tell, mut all) = (child.stdin.take().unwrap(), String::new());
    let mut lines = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
        all = all + &line + "\n";
        if line.contains("of at most 6 threads") {
            lines.push(line);
            // (It may have gone.)
            let _ = tell.write_all(b"heard\n");
        }
    }
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}{all}");
    Some((lines, out.matches("one runtime").count()))
}

/// Tasks wait in a channel of std's, until all threads do, and as long as it is so that `until`. Then they are let go, until there is
/// room again.
fn meet_the_cap(runtime: &Runtime, until: impl Fn() -> bool) {
    let (let_go, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let held = held.clone();
            runtime.spawn(move || held.lock().unwrap().recv().unwrap_err())
        })
        .collect();
    eventually(until);
    drop(let_go);
    tasks.into_iter().for_each(|task| _ = task.join().unwrap());
    eventually(|| runtime.metrics().workers_stray == 0);
    // The monitor sees it at its next look.
    let looks = runtime.metrics().monitor_looks;
    eventually(|| {
        runtime.run(|| ());
        runtime.metrics().monitor_looks > looks + 2
    });
}

fn where_tasks_migrate(test: impl FnOnce()) {
    limit(60, || if task::migrates() { test() } else { skipped("here each task is a thread of its own") });
}

#[test]
fn where_nobody_listens_and_nobody_logs_a_line_on_stderr_says_it() {
    where_tasks_migrate(|| {
        let name = "where_nobody_listens_and_nobody_logs_a_line_on_stderr_says_it";
        let Some((lines, runtimes)) =
            said(name, |builder| builder, |_| io::stdin().read_line(&mut String::new()).unwrap() > 0)
        else {
            return;
        };
        // Each says it once, though it meets its cap twice: that is too soon.
        assert!(runtimes > 0 && lines.len() == runtimes, "{lines:?}");
        for line in lines {
            for part in [
                "event-channel: ",
                "which tasks keep (",
                " in ",
                "new tasks have to wait",
                "dump()",
                "max_threads",
            ] {
                assert!(line.contains(part), "{line}");
            }
        }
    });
}

#[test]
fn where_somebody_listens_nothing_is_written_to_stderr() {
    where_tasks_migrate(|| {
        // For each runtime.
        let told: Mutex<Vec<Arc<AtomicUsize>>> = Mutex::default();
        let name = "where_somebody_listens_nothing_is_written_to_stderr";
        let listens = |builder: Builder| {
            let tell = Arc::<AtomicUsize>::default();
            told.lock().unwrap().push(tell.clone());
            builder.on_event(move |event| {
                if matches!(event, PoolEvent::AtCap(_)) {
                    tell.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let heard = || told.lock().unwrap().last().unwrap().load(Ordering::Relaxed);
        // (The second meeting may be over before anybody can be told.)
        if let Some((lines, _)) = said(name, listens, |_| heard() == 1) {
            assert!(lines.is_empty(), "{lines:?}");
        }
    });
}

struct Logger(AtomicUsize);

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.args().to_string().contains("of at most 6 threads") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

#[test]
fn where_somebody_logs_nothing_is_written_to_stderr() {
    where_tasks_migrate(|| {
        static LOGGER: Logger = Logger(AtomicUsize::new(0));
        let name = "where_somebody_logs_nothing_is_written_to_stderr";
        let logs = |builder| {
            // (In the process of its own.)
            let _ = log::set_logger(&LOGGER);
            log::set_max_level(log::LevelFilter::Error);
            builder
        };
        match said(name, logs, |met| LOGGER.0.load(Ordering::Relaxed) == met) {
            Some((lines, _)) => assert!(lines.is_empty(), "{lines:?}"),
            None => assert!(LOGGER.0.load(Ordering::Relaxed) >= 1, "once for each runtime"),
        }
    });
}

/// A listener that comes too late to hear of the cap is not told of what is over, and nobody is accused who only has the core that is
/// his.
#[test]
fn what_is_told_is_so() {
    limit(60, || {
        if !task::migrates() {
            return skipped("here each task is a thread of its own, and there is no cap to be met");
        }
        for driver in Driver::ALL {
            let (told, free) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(())));
            let (tell, may) = (told.clone(), free.clone());
            let settings = Runtime::builder().cores(1).max_threads(4).on_event(move |event| {
                drop(may.lock().unwrap());
                if let PoolEvent::AtCap(at_cap) = event {
                    tell.lock().unwrap().push(at_cap.clone());
                }
            });
            let Some(runtime) = build(driver, settings) else { continue };
            let held = free.lock().unwrap();
            let blocks = |_| runtime.spawn(|| std::thread::sleep(Duration::from_millis(40)));
            let all: Vec<_> = (0..6).map(blocks).collect();
            all.into_iter().for_each(|task| task.join().unwrap());
            eventually(|| runtime.metrics().cap_hits > 0);
            // All threads but one, or none, are to spare.
            eventually(|| runtime.metrics().workers_stray == 0);
            drop(held);

            let (release, released) = mpsc::channel::<()>();
            let (done, released) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(released)));
            let turns = done.clone();
            let innocent = task::Builder::new().name("innocent".into());
            let yields = move || {
                while turns.load(Ordering::Relaxed) == 0 {
                    task::yield_now();
                }
            };
            let innocent = runtime.spawn_with(innocent, yields).unwrap();
            let blocked: Vec<_> = (0..4)
                .map(|_| {
                    let released = released.clone();
                    runtime.spawn(move || released.lock().unwrap().recv().is_err())
                })
                .collect();
            eventually(|| !told.lock().unwrap().is_empty());
            let heard = told.lock().unwrap().clone();
            done.store(1, Ordering::Relaxed);
            drop(release);
            innocent.join().unwrap();
            assert!(blocked.into_iter().all(|task| task.join().unwrap()));
            for at_cap in heard {
                let names = at_cap.blocked.iter().map(ToString::to_string).collect::<Vec<_>>();
                assert!(!at_cap.dump.tasks.is_empty(), "it was over");
                assert!(!names.iter().any(|name| name.contains("innocent")), "{names:?}");
            }
        }
    });
}
