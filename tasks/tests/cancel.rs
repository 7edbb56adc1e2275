//! Cancel, and the announcement of waits that it relies on.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{Workers, until};
use ec_tasks::{
    CancelWait, Task, Tokens, WaitKind, begin_wait, cancel_pending, current, end_wait, suspend_for_op,
    take_cancel, yield_now,
};
use ec_test_support::limit;
use ec_unkind as _;

#[test]
fn a_cancel_is_delivered_once_and_remembered() {
    limit(20, || {
        let workers = Workers::new(1);
        let task = workers.spawn(|| {
            let me = current().unwrap();
            assert!(!take_cancel() && !me.is_cancelled());
            me.cancel();
            me.cancel();
            assert!(cancel_pending());
            assert!(take_cancel(), "the first point gets it");
            assert!(!take_cancel() && !cancel_pending(), "the next does not");
            assert!(me.is_cancelled());
            me.cancel();
            assert!(take_cancel(), "another cancel is another delivery");
        });
        task.join().unwrap();
    });
}

#[test]
fn a_shutdown_is_delivered_at_each_point() {
    limit(20, || {
        let workers = Workers::new(1);
        let queue = workers.queue.clone();
        let task = workers.spawn(move || {
            current().unwrap().cancel_sticky(&*queue);
            for _ in 0..3 {
                assert!(take_cancel());
                yield_now();
            }
            current().unwrap().cancel();
            assert!(take_cancel() && take_cancel());
        });
        task.join().unwrap();
    });
}

#[test]
fn a_plain_thread_is_never_cancelled() {
    assert!(!take_cancel());
    assert!(!cancel_pending());
}

/// A cancellable wait as the wrappers do it, and a cancel at any moment: it never sleeps on.
#[test]
fn no_cancel_is_slept_through() {
    // The canceller ends the wait as a driver would: with the operation's one token.
    fn end(token: u64, task: &Task) {
        // SAFETY: the token is the address of a flag that outlives the test.
        let in_flight = unsafe { &*(token as *const AtomicBool) };
        if in_flight.swap(false, Ordering::AcqRel) {
            // SAFETY: whoever takes the operation completes it; the task waits for that.
            unsafe { ec_tasks::wake_raw(task.as_ptr(), Tokens::OP) };
        }
    }
    static SLEEP: WaitKind = WaitKind {
        name: "sleep",
        // SAFETY: only an operation in flight is ended, and nothing is waited for.
        cancel: Some(unsafe { CancelWait::new(end) }),
        describe: |_, _| String::new(),
    };
    limit(60, || {
        let workers = Workers::new(2);
        let rounds = Arc::new(AtomicU64::new(0));
        let task = {
            let rounds = rounds.clone();
            workers.spawn(move || {
                let in_flight: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
                let me = current().unwrap();
                let mut random = common::Random(3);
                for _ in 0..100_000 {
                    // So that the cancel comes before, after and in the midst of what follows.
                    for _ in 0..random.below(100) {
                        std::hint::spin_loop();
                    }
                    in_flight.store(true, Ordering::Release);
                    let token = std::ptr::from_ref(in_flight) as u64;
                    begin_wait(&SLEEP, token, 0);
                    if cancel_pending() {
                        end(token, &me);
                    }
                    // SAFETY: one operation is in flight, and ends once.
                    assert_eq!(unsafe { suspend_for_op(Tokens::OP) }, Tokens::OP);
                    end_wait();
                    // The canceller's flag may come a moment after its token.
                    until(take_cancel);
                    rounds.fetch_add(1, Ordering::Release);
                }
            })
        };
        for round in 0..100_000 {
            task.cancel();
            until(|| rounds.load(Ordering::Acquire) > round);
        }
        task.join().unwrap();
    });
}

static TORN: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicU64 = AtomicU64::new(0);

fn check(kind: u64, token: u64, _: &Task) {
    SEEN.fetch_or(1 << kind, Ordering::Relaxed);
    if token % 2 != kind {
        TORN.store(true, Ordering::Relaxed);
    }
}

/// The canceller never sees the kind of one wait with the token of another.
#[test]
fn an_announced_wait_is_read_whole() {
    static EVEN: WaitKind = WaitKind {
        name: "even",
        // SAFETY: it sets flags.
        cancel: Some(unsafe { CancelWait::new(|token, task| check(0, token, task)) }),
        describe: |_, _| String::new(),
    };
    static ODD: WaitKind = WaitKind {
        name: "odd",
        // SAFETY: as above.
        cancel: Some(unsafe { CancelWait::new(|token, task| check(1, token, task)) }),
        describe: |_, _| String::new(),
    };
    limit(60, || {
        let workers = Workers::new(1);
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        let task = workers.spawn(move || {
            let mut token = 0;
            while !flag.load(Ordering::Relaxed) {
                begin_wait(if token % 2 == 0 { &EVEN } else { &ODD }, token, 0);
                end_wait();
                token += 1;
            }
        });
        let mut cancels = 0u64;
        until(|| {
            SEEN.load(Ordering::Relaxed) == 3 || {
                task.cancel();
                false
            }
        });
        while cancels < 1_000_000 {
            task.cancel();
            cancels += 1;
        }
        done.store(true, Ordering::Relaxed);
        task.join().unwrap();
        assert!(!TORN.load(Ordering::Relaxed));
    });
}

#[test]
fn a_cancel_after_the_end_does_nothing() {
    limit(20, || {
        let workers = Workers::new(1);
        let task = workers.spawn(|| ());
        let id = task.task().clone();
        task.join().unwrap();
        id.cancel();
        assert!(id.is_cancelled());
    });
}
