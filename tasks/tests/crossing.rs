//! What a debug build says of foreign code where none may run.

mod common;

use common::Workers;
use ec_tasks::lock::Mutex;
use ec_tasks::{Crossing, TaskState};
use ec_test_support::{limit, skipped, this_test_again};
use ec_unkind as _;
use std::os::unix::process::ExitStatusExt;

/// Runs `case` in a process of its own, which ends with `words` on stderr.
fn ends_with(test: &str, words: &str, case: impl FnOnce()) {
    if !cfg!(debug_assertions) {
        return skipped("a release build does not watch");
    }
    let Some(mut child) = this_test_again(test) else { return limit(30, case) };
    let output = limit(60, || child.output().unwrap());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_spawn_under_a_lock_ends_the_process() {
    ends_with("a_spawn_under_a_lock_ends_the_process", "a spawn inside a lock of the runtime's", || {
        let workers = Workers::new(1);
        // (The first tells a logger things, which would spawn under the lock, too.)
        workers.spawn(|| ()).join().unwrap();
        let lock = Mutex::new(());
        let _held = lock.lock();
        drop(workers.spawn(|| ()));
    });
}

#[test]
fn a_wake_up_in_a_crossing_ends_the_process() {
    ends_with("a_wake_up_in_a_crossing_ends_the_process", "becomes ready inside a test", || {
        let task = Workers::new(1).spawn(ec_tasks::park);
        while task.task().info().state != TaskState::Suspended {
            std::thread::yield_now();
        }
        let _crossing = Crossing::enter("a test");
        task.task().unpark();
    });
}

#[test]
fn a_suspension_in_a_crossing_ends_the_process() {
    ends_with("a_suspension_in_a_crossing_ends_the_process", "a suspension inside a test", || {
        let body = || {
            let _crossing = Crossing::enter("a test");
            ec_tasks::park();
        };
        let _ = Workers::new(1).spawn(body).join();
    });
}

#[test]
fn after_a_crossing_all_is_allowed_in_whatever_order_several_end() {
    limit(30, || {
        let [first, second] = ["one", "two"].map(Crossing::enter);
        assert_eq!(ec_tasks::crossing(), cfg!(debug_assertions).then_some("two"));
        drop(first);
        assert!(ec_tasks::crossing().is_some() == cfg!(debug_assertions));
        drop(second);
        assert_eq!(ec_tasks::crossing(), None);
        assert_eq!(Workers::new(1).spawn(|| 7).join().unwrap(), 7);
    });
}
