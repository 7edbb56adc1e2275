//! Forced migration, on which tests of what must survive a change of threads rely: a task that becomes ready again
//! goes on at another worker, whoever woke it.

mod common;

use common::{go, until};
use ec_channel::Driver;
use ec_channel::raw::Poll;
use ec_pool::Pool;
use ec_tasks::{TaskState, WaitKind};
use ec_test_support::limit;
use ec_unkind as _;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The kernel's number of the thread that the caller runs on.
fn thread() -> i64 {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// Runs `f` on a pool that forces migration, on each driver and with 2 and 4 workers.
fn each_pool(f: impl Fn(&Pool)) {
    for driver in Driver::ALL {
        for cores in [2, 4] {
            match Pool::builder().cores(cores).driver(driver).force_migration().build() {
                Ok(pool) => limit(60, || f(&pool)),
                Err(error) => ec_test_support::skipped(&format!("{driver}: {error}")),
            }
        }
    }
}

/// Calls `suspend` in a few tasks at once, and sees each come back on another thread each time.
fn moves_each_time(pool: &Pool, times: usize, suspend: impl Fn() + Send + Clone + 'static) {
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let suspend = suspend.clone();
            go(pool, move || {
                for time in 0..times {
                    let before = thread();
                    suspend();
                    assert_ne!(thread(), before, "the {time}th time");
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap());
}

#[test]
fn a_task_that_yields_goes_on_elsewhere() {
    each_pool(|pool| moves_each_time(pool, 500, ec_tasks::yield_now));
}

static SLEEP: WaitKind = WaitKind { name: "sleep", cancel: None, describe: |_, _| String::new() };

#[test]
fn a_task_that_sleeps_goes_on_elsewhere() {
    for span in [Duration::ZERO, Duration::from_millis(1)] {
        each_pool(|pool| {
            moves_each_time(pool, 50, move || {
                ec_pool::wait::sleep_until(Instant::now().checked_add(span), &SLEEP);
            });
        });
    }
}

#[test]
fn a_task_that_waits_for_an_operation_goes_on_elsewhere() {
    each_pool(|pool| {
        moves_each_time(pool, 50, || {
            // Complete at once.
            let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
            let poll = Poll { fd: std::os::fd::AsRawFd::as_raw_fd(&near), events: libc::POLLOUT };
            // SAFETY: the action points to nothing, and the descriptor is open until the call has returned.
            unsafe { ec_pool::wait::attempt(poll, &SLEEP, 0, None, true) }.unwrap();
        });
    });
}

/// As when a completion outruns the suspension: nothing is left to wait for.
#[test]
fn a_task_that_need_not_wait_goes_on_elsewhere_all_the_same() {
    each_pool(|pool| {
        moves_each_time(pool, 50, || {
            assert!(ec_pool::wait::until(&SLEEP, 0, None, false, &AtomicBool::new(true)).unwrap());
        });
    });
}

#[test]
fn a_task_woken_from_outside_goes_on_elsewhere() {
    each_pool(|pool| {
        let task = go(pool, || {
            let before = thread();
            ec_tasks::park();
            (before, thread())
        });
        until("it is parked", || task.task().info().state == TaskState::Suspended);
        task.task().unpark();
        let (before, after) = task.join().unwrap();
        assert_ne!(before, after);
    });
}

/// A task blocks the thread of the worker that might have run another one next: a third worker does.
#[test]
fn a_blocked_worker_holds_up_no_task_while_there_is_a_third() {
    limit(60, || {
        let pool = Pool::builder().cores(3).force_migration().build().unwrap();
        for _ in 0..50 {
            let gate = Arc::new((Mutex::new(false), Condvar::new()));
            let blocks = {
                let gate = gate.clone();
                go(&pool, move || {
                    let mut open = gate.0.lock();
                    while !*open {
                        gate.1.wait(&mut open);
                    }
                })
            };
            let opens = go(&pool, move || {
                (0..20).for_each(|_| ec_tasks::yield_now());
                *gate.0.lock() = true;
                gate.1.notify_all();
            });
            opens.join().unwrap();
            blocks.join().unwrap();
        }
    });
}

#[test]
fn tasks_that_yield_for_ever_starve_no_new_one() {
    each_pool(|pool| {
        let stop = Arc::new(AtomicBool::new(false));
        let yielders: Vec<_> = (0..8)
            .map(|_| {
                let stop = stop.clone();
                go(pool, move || {
                    while !stop.load(Ordering::Relaxed) {
                        ec_tasks::yield_now();
                    }
                })
            })
            .collect();
        // From outside, and from a task.
        let parent = go(pool, || go(&ec_pool::current().unwrap(), || 7).join().unwrap());
        assert_eq!(parent.join().unwrap(), 7);
        stop.store(true, Ordering::Relaxed);
        yielders.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn such_a_pool_ends_with_tasks_that_would_not_stop() {
    each_pool(|pool| {
        let endless = go(pool, || {
            loop {
                ec_tasks::yield_now();
            }
        });
        let error = pool.shutdown(Duration::from_millis(20)).unwrap_err();
        // (On a machine with no CPU to give, a worker that is about to leave may be named, too.)
        let tasks = error.names().iter().filter(|name| name.contains("(id "));
        assert_eq!(tasks.count(), 1, "{error}");
        assert!(!endless.is_finished());
    });
}

#[test]
fn with_one_core_there_is_nowhere_to_go() {
    limit(30, || {
        let pool = Pool::builder().cores(1).force_migration().build().unwrap();
        let task = go(&pool, || {
            let before = thread();
            ec_tasks::yield_now();
            before == thread()
        });
        assert!(task.join().unwrap());
    });
}
