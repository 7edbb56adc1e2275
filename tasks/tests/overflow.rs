//! A stack that overflows: the process ends by naming the task.
#![cfg(not(loom))]

mod common;

use ec_unkind as _;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use common::{Workers, in_child, in_child_with, stderr, until};
use ec_tasks::{SpawnOptions, TaskState, current, park, yield_now};

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[3] }
}

fn must_name(output: &Output, title: &str) {
    let text = stderr(output);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{:?}\n{text}", output.status);
    assert!(text.contains(&format!("\n{title} has overflowed its stack\n")), "{text}");
}

fn overflow(name: &str) {
    let workers = Workers::new(2);
    // Neighbours, above and below.
    let _neighbours: Vec<_> = (0..3).map(|_| workers.spawn(park)).collect();
    let task = workers.spawn_with(SpawnOptions::new().name(name), || {
        yield_now();
        recurse(0)
    });
    let _ = task.join();
}

#[test]
fn an_overflow_names_the_task() {
    let output = in_child("an_overflow_names_the_task", || overflow("deep"));
    must_name(&output, "task 'deep' (id 4)");
    assert!(stderr(&output).contains("KiB is full (more by its stack_size)"));
}

#[test]
fn an_overflow_into_a_guard_by_mprotect_names_the_task() {
    let output = in_child("an_overflow_into_a_guard_by_mprotect_names_the_task", || {
        // SAFETY: this process is for that.
        unsafe { ec_tasks::force_protected_guards() };
        overflow("deep");
    });
    must_name(&output, "task 'deep' (id 4)");
}

#[test]
fn a_very_long_name_is_cut() {
    let output = in_child("a_very_long_name_is_cut", || overflow(&"x".repeat(10_000)));
    must_name(&output, &format!("task '{}' (id 4)", "x".repeat(256)));
}

#[test]
fn an_unnamed_task_has_its_number() {
    let output = in_child("an_unnamed_task_has_its_number", || {
        let workers = Workers::new(1);
        let _ = workers.spawn(|| recurse(0)).join();
    });
    must_name(&output, "task '<unnamed>' (id 1)");
}

/// As C code without probes would, a frame jumps over many pages; every place within 60 KiB
/// below the stack is the guard's.
#[test]
fn a_frame_that_jumps_over_pages_still_hits_the_guard() {
    for (test, force) in [("marked", false), ("protected", true)] {
        for below in [1usize, 5 << 10, 32 << 10, 60 << 10] {
            let env = [("BELOW", below.to_string()), ("FORCE", force.to_string())];
            let env: Vec<_> = env.iter().map(|(key, value)| (*key, value.as_str())).collect();
            let output = in_child_with("a_frame_that_jumps_over_pages_still_hits_the_guard", &env, || {
                if std::env::var("FORCE").unwrap() == "true" {
                    // SAFETY: this process is for that.
                    unsafe { ec_tasks::force_protected_guards() };
                }
                let below: usize = std::env::var("BELOW").unwrap().parse().unwrap();
                let workers = Workers::new(1);
                let _neighbour = workers.spawn(park);
                let task = workers.spawn_with(SpawnOptions::new().name("jumper"), move || {
                    let low = current().unwrap().info().stack.unwrap().start;
                    // SAFETY: none: this write is what the guard is there to stop.
                    unsafe { std::ptr::write_volatile((low - below) as *mut u8, 1) };
                });
                let _ = task.join();
            });
            assert!(stderr(&output).contains("jumper"), "{test} {below}: {}", stderr(&output));
            must_name(&output, "task 'jumper' (id 2)");
        }
    }
}

/// A stray pointer into a guard is not an overflow, and other faults keep their own end.
#[test]
fn another_fault_is_left_to_others() {
    let output = in_child("another_fault_is_left_to_others", || {
        let workers = Workers::new(1);
        let task = workers.spawn(park);
        // Then the worker has installed the handler.
        until(|| task.task().info().state == TaskState::Suspended);
        let guard = task.task().info().stack.unwrap().start - 8;
        // SAFETY: none: the fault is the test.
        unsafe { std::ptr::write_volatile(guard as *mut u8, 1) };
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", stderr(&output));
    assert!(!stderr(&output).contains("overflowed"), "{}", stderr(&output));
}

/// In a process of its own, where `action` is what SIGSEGV does before the first worker comes.
fn with_workers_over(test: &str, action: libc::sighandler_t, then: impl FnOnce()) -> Output {
    in_child(test, || {
        // SAFETY: no handler of ours.
        unsafe { libc::signal(libc::SIGSEGV, action) };
        Workers::new(1).spawn(|| ()).join().unwrap();
        then();
    })
}

fn send_to_myself() {
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::raise(libc::SIGSEGV) }, 0);
}

#[test]
fn a_signal_that_is_sent_has_its_default_action_at_once() {
    let test = "a_signal_that_is_sent_has_its_default_action_at_once";
    let output = with_workers_over(test, libc::SIG_DFL, send_to_myself);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", stderr(&output));
}

#[test]
fn a_signal_that_is_sent_and_ignored_stays_so_and_overflows_are_still_named() {
    let test = "a_signal_that_is_sent_and_ignored_stays_so_and_overflows_are_still_named";
    let output = with_workers_over(test, libc::SIG_IGN, || {
        send_to_myself();
        overflow("deep");
    });
    must_name(&output, "task 'deep' (id 5)");
}

/// A plain thread's overflow is still reported by std.
#[test]
fn a_plain_threads_overflow_is_reported_as_before() {
    let output = in_child("a_plain_threads_overflow_is_reported_as_before", || {
        let workers = Workers::new(1);
        // Then the worker has installed the handler.
        workers.spawn(|| ()).join().unwrap();
        let plain = std::thread::Builder::new().name("plain".to_owned());
        let _ = plain.spawn(|| recurse(0)).unwrap().join();
    });
    let text = stderr(&output);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{text}");
    assert!(text.contains("thread 'plain'") && text.contains("has overflowed its stack"), "{text}");
}

/// Walking and naming every frame takes much stack, in a debug build above all.
#[test]
fn a_panic_with_a_full_backtrace_fits_the_default_stack() {
    let test = "a_panic_with_a_full_backtrace_fits_the_default_stack";
    let output = in_child_with(test, &[("RUST_BACKTRACE", "full")], || {
        let workers = Workers::new(1);
        assert!(workers.spawn(|| panic!("with a trace")).join().is_err());
        assert_eq!(workers.spawn(|| 1).join().unwrap(), 1);
    });
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("stack backtrace:") && text.contains("with a trace"), "{text}");
}
