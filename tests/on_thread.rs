//! `task::on_thread`: what is around the caller is around the closure, whatever a task is here.

mod net_common;
mod scope_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::UdpSocket;
use event_channel::sync::Notification;
use event_channel::task::{self, Builder, CancelToken, check, interruptible, on_thread, shield};
use event_channel::time::{Duration, sleep_cancellable, timeout};
use event_channel::{is_cancelled, is_deadline};
use net_common::each_runtime;
use scope_common::{LONG, SHORT, everywhere, panic_of};
use std::io;
use std::sync::Arc;

fn assert_cancelled<T>(result: io::Result<T>) {
    let error = result.map(drop).expect_err("cancelled");
    assert!(is_cancelled(&error), "{error}");
}

fn assert_late<T>(result: io::Result<T>) {
    let error = result.map(drop).expect_err("late");
    assert!(is_deadline(&error), "{error}");
}

#[test]
fn a_deadline_around_it_ends_each_kind_of_wait_in_it_once() {
    const WAITS: [fn() -> io::Result<()>; 4] = [
        || sleep_cancellable(LONG),
        task::park_cancellable,
        || Notification::new().wait_cancellable(),
        || UdpSocket::bind("127.0.0.1:0")?.recv(&mut [0; 1]).map(drop),
    ];
    everywhere(|| {
        for wait in WAITS {
            timeout(SHORT, || {
                on_thread(|| {
                    assert_late(timeout(LONG, wait));
                    check().expect("once");
                });
                check().expect("once");
            });
            // One of its own comes first, and leaves the other to the caller.
            timeout(Duration::ZERO, || {
                on_thread(|| {
                    timeout(Duration::ZERO, || assert_late(wait()));
                });
                assert_late(on_thread(|| on_thread(check)));
                check().unwrap();
            });
        }
        check().unwrap();
    });
}

#[test]
fn a_tokens_cancel_is_delivered_there_once() {
    everywhere(|| {
        let token = CancelToken::new();
        token.enter(|| {
            on_thread(|| {
                assert!(!task::is_cancelled());
                check().unwrap();
                token.cancel();
                assert!(task::is_cancelled());
                // It is its children's, too.
                task::scope(|s| assert_cancelled(s.spawn(|| sleep_cancellable(LONG)).join().unwrap()));
                assert_cancelled(sleep_cancellable(LONG));
                check().expect("once");
            });
            check().expect("once");
            // A group of its own ends with it.
            let other = CancelToken::new();
            other.cancel();
            assert_cancelled(on_thread(|| other.enter(check)));
            on_thread(|| other.enter(|| ()));
            check().unwrap();
        });
        assert!(!on_thread(task::is_cancelled));
    });
}

#[test]
fn a_cancel_of_the_task_is_delivered_there_once() {
    limit(60, || {
        each_runtime(|runtime| {
            for kind in [Builder::new(), Builder::new().dedicated()] {
                let cancelled = Arc::new(Notification::new());
                let theirs = cancelled.clone();
                let task = runtime.spawn_with(kind, move || {
                    theirs.wait();
                    on_thread(|| shield(check)).expect("not now");
                    shield(|| on_thread(check)).expect("not now");
                    on_thread(|| {
                        assert!(task::is_cancelled());
                        assert_cancelled(task::park_cancellable());
                        check().expect("once");
                    });
                    check().expect("once");
                    assert!(task::is_cancelled() && on_thread(task::is_cancelled));
                });
                let task = task.unwrap();
                task.cancel();
                cancelled.post();
                task.join().unwrap();
            }
        });
    });
}

#[test]
fn shields_count_there_and_are_left_by_a_panic() {
    everywhere(|| {
        timeout(Duration::ZERO, || {
            shield(|| on_thread(check)).unwrap();
            on_thread(|| shield(check)).unwrap();
            let words = panic_of(|| {
                on_thread(|| timeout(LONG, || shield(|| timeout(LONG, || panic!("on purpose")))))
            });
            assert_eq!(words, "on purpose");
            assert_late(check());
            check().unwrap();
        });
        on_thread(check).unwrap();
    });
}

/// As one that is forked in the task itself.
#[test]
fn a_forked_child_is_in_it_too() {
    limit(60, || {
        each_runtime(|runtime| {
            let forks = || {
                // SAFETY: the child makes calls that wait for nothing, and ends without running what is the parent's.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    let is_late =
                        |result: std::io::Result<()>| result.is_err_and(|error| is_deadline(&error));
                    let well = is_late(check()) && check().is_ok() && is_late(timeout(Duration::ZERO, check));
                    // SAFETY: see above.
                    unsafe { libc::_exit(if well { 0 } else { 1 }) };
                }
                let mut status = 0;
                // SAFETY: a place for the status.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert_eq!(status, 0, "the child's wait status");
            };
            let task = runtime.spawn(move || {
                timeout(Duration::ZERO, || {
                    on_thread(forks);
                    assert_late(check());
                });
            });
            task.join().unwrap();
        });
    });
}

/// What was delivered there ends no call of foreign code any more.
#[test]
fn a_section_around_it_hears_of_what_is_delivered_there() {
    fn sleeps() -> bool {
        let time = libc::timespec { tv_sec: 0, tv_nsec: 30_000_000 };
        // SAFETY: a time, and no place for what is left of it.
        unsafe { libc::nanosleep(&time, std::ptr::null_mut()) == 0 }
    }
    everywhere(|| {
        timeout(Duration::ZERO, || {
            interruptible(|| {
                assert!(!sleeps(), "the deadline ends it");
                assert_late(on_thread(check));
                assert!(sleeps(), "it was delivered");
            });
        });
    });
}
