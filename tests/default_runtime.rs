//! The default runtime by free functions, and the runtime that one is in. Each test has a process of its own, for there is one default
//! runtime in each.

mod net_common;

use ec_test_support::{limit, this_test_again, threads_and_files};
use ec_unkind as _;
use event_channel::channel::Request;
use event_channel::task::{self, TaskId};
use event_channel::{Runtime, dump, metrics, run, shutdown, time};
use net_common::{each_runtime, eventually};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// Runs `test` in processes of its own, with each driver that the machine allows.
fn in_a_process(name: &str, test: impl FnOnce()) {
    limit(60, || {
        if this_test_again(name).is_none() {
            return test();
        }
        for driver in ["io_uring", "epoll"] {
            if driver == "io_uring"
                && Runtime::builder().driver(event_channel::channel::Driver::IoUring).build().is_err()
            {
                println!("left out: {driver}");
                continue;
            }
            // (A logger that spawns tasks begins a default runtime.)
            let mut again: Command = this_test_again(name).unwrap();
            let output =
                again.env("EVENT_CHANNEL_DRIVER", driver).env_remove("EC_UNKIND_LOGGER").output().unwrap();
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{driver}: {out}{err}");
        }
    });
}

#[test]
fn asking_begins_no_default_runtime() {
    in_a_process("asking_begins_no_default_runtime", || {
        assert!(Runtime::current().is_none());
        assert!(dump().tasks.is_empty());
        assert_eq!(dump().to_string().lines().last(), Some("0 tasks"));
        assert_eq!(metrics(), Default::default());
        shutdown(LONG).unwrap();
        assert_eq!(threads_and_files().0, 0, "no thread of a runtime's");
        assert_eq!(run(|| 7), 7, "a shutdown of what has not begun has ended nothing");
    });
}

#[test]
fn they_speak_of_the_default_runtime_and_end_it() {
    in_a_process("they_speak_of_the_default_runtime_and_end_it", || {
        let task = task::Builder::new().name("a task".into()).spawn(|| {
            while !task::is_cancelled() {
                time::sleep(Duration::from_millis(1));
            }
            7
        });
        let task = task.unwrap();
        assert!(dump().to_string().contains("a task"), "{}", dump());
        assert!(metrics().cores > 0 && metrics().tasks_spawned == 1);
        assert!(Runtime::current().is_none(), "this is a plain thread");
        shutdown(LONG).unwrap();
        assert_eq!(task.join().unwrap(), 7);
        assert!(dump().tasks.is_empty());
        assert!(task::Builder::new().spawn(|| ()).is_err(), "there is no other one");
        shutdown(LONG).unwrap();
    });
}

#[test]
fn the_current_runtime_is_that_of_the_task_or_the_handler() {
    limit(60, || {
        each_runtime(|runtime| {
            let here = |id: TaskId| {
                let current = Runtime::current().unwrap();
                assert!(current.dump().tasks.iter().any(|task| task.id == id), "{}", current.dump());
                assert_eq!(current.metrics().cores, metrics().cores);
                assert!(dump().tasks.iter().any(|task| task.id == id), "{}", dump());
                current
            };
            let handle = runtime.run(|| here(task::current().id()));
            let dedicated = task::Builder::new().dedicated();
            let started = runtime.spawn_with(dedicated, move || {
                let current = here(task::current().id());
                let name = task::Builder::new().name("further".into());
                current.spawn_with(name, move || here(task::current().id())).unwrap().join().unwrap();
                current.run(move || here(task::current().id()));
                current.spawn(|| 7).join().unwrap()
            });
            assert_eq!(started.unwrap().join().unwrap(), 7);
            let (tell, told) = mpsc::channel();
            let request = Request::timer(Duration::ZERO).on_complete(move |_, _| {
                tell.send(Runtime::current().map(|current| current.metrics().cores)).unwrap();
            });
            runtime.channel().post(request).unwrap();
            assert_eq!(told.recv().unwrap(), Some(runtime.metrics().cores));
            assert!(Runtime::current().is_none());
            // It is the same runtime, and does not keep it running.
            assert_eq!(handle.metrics().tasks_spawned, runtime.metrics().tasks_spawned);
            assert_eq!(format!("{handle:?}").replace("Handle", "Runtime"), format!("{runtime:?}"));
            handle.shutdown(LONG).unwrap();
            runtime.shutdown(LONG).unwrap();
            assert!(handle.spawn_with(task::Builder::new(), || ()).is_err());
            eventually(|| handle.dump().tasks.is_empty());
        });
    });
}
