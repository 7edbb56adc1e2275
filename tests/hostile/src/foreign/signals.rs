//! Signals at a high rate while tasks hop: handlers find whole thread-locals, and leave errno alone.

use crate::check::Check;
use crate::support::{hop, many, spawn};
use libc::{SIGUSR1, c_int, c_long};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::{fs, process, thread};

pub const CHECKS: &[Check] = &[
    Check::new("signal_handlers_find_whole_thread_locals", handlers_find_whole_thread_locals),
    Check::new("a_task_signals_itself", a_task_signals_itself),
];

unsafe extern "C" {
    safe fn ec_signals_begin(number: c_int) -> c_int;
    safe fn ec_signals_handled() -> c_long;
    safe fn ec_signals_strange() -> c_long;
    safe fn ec_signals_hits() -> c_long;
    safe fn ec_signals_self(number: c_int) -> c_int;
    safe fn ec_errno_through(value: c_int, rounds: c_long) -> c_int;
}

/// Sends to the process and to each of its threads in turn, until told to stop.
fn send_to_all(stop: &AtomicBool) {
    let process = process::id() as libc::pid_t;
    while !stop.load(SeqCst) {
        for thread in fs::read_dir("/proc/self/task").expect("proc").flatten() {
            let number: c_long =
                thread.file_name().to_str().and_then(|name| name.parse().ok()).expect("a number");
            // A burst, so that one comes while another's handler runs out.
            for _ in 0..20 {
                // SAFETY: signals that have a handler; a thread that has ended meanwhile is an error.
                unsafe {
                    libc::syscall(libc::SYS_tgkill, c_long::from(process), number, SIGUSR1);
                    libc::kill(process, SIGUSR1);
                }
                thread::yield_now();
            }
        }
    }
}

fn handlers_find_whole_thread_locals() {
    assert_eq!(ec_signals_begin(SIGUSR1), 0);
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let sender = thread::spawn(move || send_to_all(&told));
    let living: Vec<_> = (0..many(100) as c_int)
        .map(|i| {
            spawn(move || {
                for n in 0..40 {
                    assert_ne!(
                        ec_errno_through(1000 * (n + 1) + i, 20_000),
                        0,
                        "a signal's handler has changed errno"
                    );
                    assert!(ec_signals_hits() >= 0);
                    hop();
                }
            })
        })
        .collect();
    living.into_iter().for_each(|task| task.join().expect("a task"));
    stop.store(true, SeqCst);
    sender.join().expect("the sender");
    assert_eq!(ec_signals_strange(), 0, "handlers that saw thread-locals or an errno that were nobody's");
    assert!(ec_signals_handled() > 0, "no signal came, and this check is pointless");
}

fn a_task_signals_itself() {
    assert_eq!(ec_signals_begin(SIGUSR1), 0);
    let n = many(300);
    let living: Vec<_> = (0..n)
        .map(|_| {
            spawn(|| {
                assert_eq!(ec_signals_hits(), 0, "a new task has another's thread-locals");
                for done in 1..=10 {
                    assert_ne!(
                        ec_signals_self(SIGUSR1),
                        0,
                        "raise or pthread_kill(self) was not for the caller"
                    );
                    hop();
                    assert_eq!(ec_signals_hits(), 2 * done, "signals of others");
                }
            })
        })
        .collect();
    living.into_iter().for_each(|task| task.join().expect("a task"));
    assert_eq!(ec_signals_handled(), 20 * n as c_long);
    assert_eq!(ec_signals_strange(), 0);
}
