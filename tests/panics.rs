//! What a program's user sees of a panic in a task, on stderr.

use ec_test_support::{limit, this_test_again};
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::task::{self, Builder};
use event_channel::{Runtime, time};
use std::panic;
use std::time::Duration;

/// The name of this function is looked for in backtraces.
#[inline(never)]
fn users_function() {
    time::sleep(Duration::from_millis(1));
    panic!("first line\nsecond line");
}

/// And of this one.
#[inline(never)]
fn between(f: fn()) {
    f();
    std::hint::black_box(());
}

/// What this test program says on stderr if it runs the test `name` alone. `None` in that process, which calls `f` with each runtime.
fn said(name: &str, backtrace: &str, f: impl Fn(&Runtime)) -> Option<String> {
    let Some(mut again) = this_test_again(name) else {
        for driver in Driver::ALL {
            match Runtime::builder().driver(driver).build() {
                Ok(runtime) => f(&runtime),
                Err(error) => println!("left out: {driver:?}: {error}"),
            }
        }
        return None;
    };
    // (A logger that panics would be read, too.)
    let output = again.env("RUST_BACKTRACE", backtrace).env_remove("EC_UNKIND_LOGGER").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    Some(text)
}

fn named(name: &str) -> Builder {
    Builder::new().name(String::from(name))
}

#[test]
fn a_backtrace_has_no_frames_of_the_runtimes() {
    limit(60, || {
        let text = said("a_backtrace_has_no_frames_of_the_runtimes", "1", |runtime| {
            for builder in [named("own"), named("dedicated").dedicated()] {
                assert!(runtime.spawn_with(builder, users_function).unwrap().join().is_err());
            }
            assert!(runtime.spawn(|| between(users_function)).join().is_err());
        });
        let Some(text) = text else { return };
        let traces: Vec<&str> = text.split("stack backtrace:").skip(1).collect();
        assert!(traces.len() >= 3, "{text}");
        assert!(text.contains("panics::between"), "frames of the program's own are all there: {text}");
        for trace in traces {
            let trace = trace.split("note: ").next().unwrap();
            assert!(trace.contains("users_function"), "{text}");
            for of_the_runtimes in ["corosensei", "ec_pool::", "ec_tasks::", "catch_unwind"] {
                assert!(!trace.contains(of_the_runtimes), "{of_the_runtimes} in {text}");
            }
        }
    });
}

#[test]
fn a_panic_names_its_task_once() {
    limit(60, || {
        let text = said("a_panic_names_its_task_once", "0", |runtime| {
            assert!(runtime.spawn_with(named("joined"), users_function).unwrap().join().is_err());
            let early = runtime.spawn_with(named("early"), || (task::park(), users_function())).unwrap();
            let parked = early.task().clone();
            drop(early);
            parked.unpark();
            let late = runtime.spawn_with(named("late"), users_function).unwrap();
            while !late.is_finished() {
                std::thread::yield_now();
            }
            drop(late);
            let again = runtime.spawn_with(named("again"), || {
                panic::resume_unwind(task::spawn(users_function).join().unwrap_err())
            });
            assert!(again.unwrap().join().is_err());
            while !runtime.dump().tasks.is_empty() {
                std::thread::yield_now();
            }
        });
        let Some(text) = text else { return };
        let runtimes = text.matches("task 'joined'").count();
        assert!(runtimes > 0, "{text}");
        for (name, end) in [("joined", ""), ("early", ", and nobody joins it"), ("late", ""), ("again", "")] {
            let begin = format!("task '{name}'");
            let lines: Vec<&str> = text.lines().filter(|line| line.contains(&begin)).collect();
            assert_eq!(lines.len(), runtimes, "{name} in {text}");
            for line in lines {
                assert!(line.ends_with(&format!(") panicked: first line{end}")), "{line}");
            }
        }
    });
}

#[test]
fn a_panic_hook_of_the_programs_sees_the_task_that_the_line_names() {
    limit(60, || {
        let name = "a_panic_hook_of_the_programs_sees_the_task_that_the_line_names";
        let text = said(name, "0", |runtime| {
            panic::set_hook(Box::new(|info| {
                let task = task::current();
                let line = info.location().unwrap().line();
                eprintln!("hook: '{}' (id {}) in line {line}", task.name().unwrap_or("-"), task.id());
            }));
            assert!(runtime.spawn_with(named("hooked"), users_function).unwrap().join().is_err());
            drop(panic::take_hook());
        });
        let Some(text) = text else { return };
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("hooked")).collect();
        assert!(!lines.is_empty() && lines.len().is_multiple_of(2), "{text}");
        for pair in lines.chunks(2) {
            let who = pair[0].strip_prefix("hook: ").unwrap().split(" in line").next().unwrap();
            assert_eq!(pair[1], format!("task {who} panicked: first line"), "{text}");
        }
        assert!(!text.contains("thread '"), "the program's hook alone tells of threads: {text}");
    });
}
