//! A library that gives the calling thread a signal stack until its end, as several runtimes do. The stack is a
//! worker's, the end a task's: no worker may be left with memory that is gone, and none without its own.

use crate::check::Check;
use crate::support::{hop, hops, many, spawn, tasks};
use event_channel::task;
use std::collections::HashSet;
use std::env;
use std::ffi::{c_int, c_void};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, Mutex};

pub const CHECKS: &[Check] = &[
    Check::new("a_librarys_signal_stack_is_not_left_with_workers", not_left_with_workers),
    Check::new("an_overflow_is_reported_after_librarys_signal_stacks", || overflow_after(true)),
    Check::new("an_overflow_is_reported_while_librarys_signal_stacks_live", || overflow_after(false)),
];

unsafe extern "C" {
    safe fn ec_signal_stack_install() -> *mut c_void;
    safe fn ec_signal_stack_of_kernel() -> *mut c_void;
    safe fn ec_recurse(depth: c_int) -> c_int;
}

fn not_left_with_workers() {
    // Their addresses; they stay mapped, so none is used again.
    let theirs = Arc::new(Mutex::new(HashSet::new()));
    tasks(many(400), move |i| {
        let installs = i % 2 == 0;
        let mut own = 0;
        for n in 0..8 {
            if installs && n == 2 {
                let stack = ec_signal_stack_install();
                assert_eq!(
                    ec_signal_stack_of_kernel(),
                    stack,
                    "the library has it until it suspends, at least"
                );
                own = stack.addr();
                theirs.lock().unwrap().insert(own);
            }
            hop();
            let now = ec_signal_stack_of_kernel().addr();
            assert!(now != 0, "a worker without a signal stack");
            let foreign = now != own && theirs.lock().unwrap().contains(&now);
            assert!(!foreign, "a worker with the signal stack of another task");
            if own != 0 && !task::migrates() {
                assert_eq!(now, own, "a thread of its own keeps it");
            }
        }
    });
    // Workers, after all that.
    tasks(50, |_| {
        hop();
        assert!(ec_signal_stack_of_kernel().addr() != 0, "a worker without a signal stack");
    });
}

const VICTIM: &str = "EC_HOSTILE_VICTIM";

/// In a process of its own; `ended`: the tasks with the signal stacks have ended, and the stacks are unmapped.
fn overflow_after(ended: bool) {
    if env::var_os(VICTIM).is_some() {
        return overflow(ended);
    }
    let name = env::args().nth(1).expect("the check's name");
    let output = Command::new(env::current_exe().expect("this program"))
        .arg(name)
        .env(VICTIM, "1")
        .env("EC_UNMAP_SIGNAL_STACK", "1")
        .output()
        .expect("this program once more");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{:?}\n{said}", output.status);
    assert!(
        said.contains("the-one-that-overflows") && said.contains("overflowed its stack"),
        "it said: {said}"
    );
}

fn overflow(ended: bool) {
    let with_signal_stacks: Vec<_> = (0..64)
        .map(|_| {
            spawn(move || {
                ec_signal_stack_install();
                hops(if ended { 6 } else { usize::MAX });
            })
        })
        .collect();
    if ended {
        with_signal_stacks.into_iter().for_each(|task| task.join().expect("a task"));
    }
    let last = task::Builder::new().name("the-one-that-overflows".into());
    let deep = || {
        hops(5);
        ec_recurse(0)
    };
    let task = crate::support::runtime().spawn_with(last, deep).expect("a task");
    let _ = task.join();
    println!("the overflow went unnoticed");
}
