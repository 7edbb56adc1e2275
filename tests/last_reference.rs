//! Whoever has the last reference to a runtime's pool runs the destructors of what its listener holds: code of the program's, whose panics and
//! waits are not the affair of the task's owner, of a task, or of a thread that ends.

mod net_common;

use ec_test_support::{limit, this_test_again};
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::{Runtime, task};
use net_common::{build, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(10);

struct Last(fn(), Arc<AtomicBool>);

impl Drop for Last {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
        self.0();
    }
}

/// A runtime with each driver whose listener's destructor calls `f`, and whether it has.
fn each_with(f: fn(), test: impl Fn(Runtime, Arc<AtomicBool>)) {
    for driver in Driver::ALL {
        let dropped = Arc::new(AtomicBool::new(false));
        let last = Last(f, dropped.clone());
        let builder = Runtime::builder().cores(1).on_event(move |_| _ = &last);
        if let Some(runtime) = build(driver, builder) {
            test(runtime, dropped);
        }
    }
}

fn panics() {
    panic!("on purpose");
}

/// The memory of what has been freed is taken at once, with all bits set.
struct Takes(Vec<Vec<u8>>);

impl Drop for Takes {
    fn drop(&mut self) {
        self.0 = (16..640).step_by(16).map(|size| vec![0x41; size]).collect();
    }
}

#[test]
fn a_join_gives_the_result_whoever_goes_with_it() {
    limit(60, || {
        each_with(panics, |runtime, dropped| {
            let task = runtime.spawn(|| Takes(Vec::new()));
            drop(runtime);
            assert!(task.join().is_ok());
            assert!(dropped.load(Ordering::SeqCst));
        });
    });
}

#[test]
fn dropping_a_handle_does_not_panic() {
    limit(60, || {
        each_with(panics, |runtime, dropped| {
            let handle = runtime.spawn(|| 7);
            eventually(|| handle.is_finished());
            let task = handle.task().clone();
            drop((runtime, handle));
            drop(task);
            assert!(dropped.load(Ordering::SeqCst));
        });
    });
}

/// It outlives its runtime: the end of its thread is where the last reference goes, without std's thread-locals.
fn at_a_dedicated_tasks_end(test: &str, f: fn()) {
    if let Some(mut child) = this_test_again(test) {
        // (If it goes wrong the process is aborted.)
        let output = limit(120, || child.output().unwrap());
        assert!(output.status.success(), "{output:?}");
        return;
    }
    // (The process's threads are counted.)
    ec_unkind::no_other_runtime();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    each_with(f, |runtime, dropped| {
        let go_on = Arc::new(AtomicBool::new(false));
        let waits = go_on.clone();
        let wait = move || {
            while !waits.load(Ordering::SeqCst) {
                thread::sleep(SHORT);
            }
        };
        drop(runtime.spawn_with(task::Builder::new().dedicated(), wait).unwrap());
        let _ = runtime.shutdown(Duration::ZERO);
        drop(runtime);
        assert!(!dropped.load(Ordering::SeqCst));
        go_on.store(true, Ordering::SeqCst);
        eventually(|| dropped.load(Ordering::SeqCst));
    });
    // Whatever it does, to its end.
    eventually(|| threads() == before);
}

#[test]
fn at_the_end_of_a_dedicated_tasks_thread_it_may_panic() {
    at_a_dedicated_tasks_end("at_the_end_of_a_dedicated_tasks_thread_it_may_panic", panics);
}

#[test]
fn at_the_end_of_a_dedicated_tasks_thread_it_may_block() {
    at_a_dedicated_tasks_end("at_the_end_of_a_dedicated_tasks_thread_it_may_block", || {
        thread::park_timeout(SHORT);
        assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
    });
}
