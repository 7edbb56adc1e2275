//! `sync::Notification`: every post lets exactly one wait return.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::Notification;
use event_channel::task::CancelToken;
use event_channel::time::timeout;
use event_channel::{Runtime, is_cancelled, is_deadline, task};
use net_common::{Numbers, each_run, each_runtime, eventually, until_waiting};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn posts_are_counted_while_nobody_waits() {
    limit(30, || {
        let check = || {
            let notification = Notification::new();
            notification.post();
            notification.post();
            notification.wait();
            assert!(notification.wait_timeout(Duration::ZERO));
            assert!(!notification.wait_timeout(Duration::ZERO));
            assert!(!notification.try_wait());
            notification.post();
            assert!(notification.try_wait());
        };
        check();
        each_run(check);
    });
}

#[test]
fn post_all_wakes_those_who_wait_and_leaves_nothing() {
    limit(30, || {
        each_runtime(|runtime| {
            let notification = Arc::new(Notification::new());
            let waiters: Vec<_> = (0..5)
                .map(|_| {
                    let notification = notification.clone();
                    runtime.spawn(move || notification.wait())
                })
                .collect();
            let thread = {
                let notification = notification.clone();
                thread::spawn(move || notification.wait())
            };
            eventually(|| format!("{notification:?}").contains("waiters: 6"));
            notification.post_all();
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
            thread.join().unwrap();
            assert!(!notification.try_wait());
            notification.post_all();
            assert!(!notification.try_wait(), "nobody waited, nothing is left");
        });
    });
}

#[test]
fn tasks_and_threads_are_served_in_the_order_they_came() {
    limit(30, || {
        each_runtime(|runtime| {
            let notification = Arc::new(Notification::new());
            let (served, order) = std::sync::mpsc::channel();
            for n in 0..6 {
                let (notification, served) = (notification.clone(), served.clone());
                let wait = {
                    let notification = notification.clone();
                    move || {
                        notification.wait();
                        served.send(n).unwrap();
                    }
                };
                if n % 2 == 0 {
                    drop(runtime.spawn(wait));
                } else {
                    drop(thread::spawn(wait));
                }
                eventually(|| format!("{notification:?}").contains(&format!("waiters: {}", n + 1)));
            }
            for n in 0..6 {
                notification.post();
                assert_eq!(order.recv().unwrap(), n);
            }
        });
    });
}

#[test]
fn wait_timeout_takes_its_time_and_leaves_the_queue() {
    limit(30, || {
        let check = || {
            let notification = Notification::new();
            let start = Instant::now();
            assert!(!notification.wait_timeout(SHORT));
            assert!(start.elapsed() >= SHORT);
            assert!(format!("{notification:?}").contains("waiters: 0"));
            notification.post();
            assert!(notification.try_wait(), "it went into the count, not to the one who left");
        };
        check();
        each_run(check);
    });
}

#[test]
fn wait_cannot_fail_and_is_no_cancellation_point() {
    limit(30, || {
        each_runtime(|runtime| {
            let notification = Arc::new(Notification::new());
            let waiter = {
                let notification = notification.clone();
                runtime.spawn(move || {
                    notification.wait();
                    assert!(!notification.wait_timeout(SHORT));
                    task::is_cancelled()
                })
            };
            until_waiting(runtime, "notification");
            waiter.cancel();
            assert!(!waiter.is_finished());
            notification.post();
            assert!(waiter.join().unwrap());
        });
    });
}

/// Waiters that give up at about the time when posts come, tasks and threads mixed: each post is
/// received exactly once.
#[test]
fn a_post_is_never_lost_to_one_who_gives_up() {
    limit(120, || {
        each_runtime(|runtime| {
            const POSTS: usize = 20_000;
            let notification = Arc::new(Notification::new());
            let taken = Arc::new(AtomicUsize::new(0));
            let late = Arc::new(AtomicUsize::new(0));
            let receive = |seed| {
                let (notification, taken, late) = (notification.clone(), taken.clone(), late.clone());
                move || {
                    let mut numbers = Numbers(seed);
                    while taken.load(Ordering::SeqCst) < POSTS {
                        if notification.wait_timeout(Duration::from_micros(numbers.below(60))) {
                            taken.fetch_add(1, Ordering::SeqCst);
                        } else {
                            late.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            };
            let tasks: Vec<_> = (0..4).map(|seed| runtime.spawn(receive(seed))).collect();
            let threads: Vec<_> = (10..12).map(|seed| thread::spawn(receive(seed))).collect();
            let mut numbers = Numbers(99);
            for n in 0..POSTS {
                if n % 1_000 == 0 {
                    // However the threads are given their turns: some waits find nothing.
                    let before = late.load(Ordering::SeqCst);
                    eventually(|| late.load(Ordering::SeqCst) > before);
                }
                notification.post();
                for _ in 0..numbers.below(600) {
                    std::hint::spin_loop();
                }
            }
            // A lost post would let these loop for ever.
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(taken.load(Ordering::SeqCst), POSTS);
            assert!(!notification.try_wait(), "a post was received twice");
        });
    });
}

/// The same with those who are cancelled, by themselves and by a token, or whose deadline comes.
#[test]
fn a_post_is_never_lost_to_one_who_is_cancelled() {
    limit(120, || {
        each_runtime(|runtime| {
            const POSTS: usize = 8_000;
            let notification = Arc::new(Notification::new());
            let (taken, late) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let token = Arc::new(Mutex::new(CancelToken::new()));
            let receive = |seed| {
                let (notification, taken, late) = (notification.clone(), taken.clone(), late.clone());
                let token = token.clone();
                move || {
                    let mut numbers = Numbers(seed);
                    while taken.load(Ordering::SeqCst) < POSTS {
                        let span = Duration::from_micros(numbers.below(200));
                        let group = token.lock().unwrap().clone();
                        let wait = || match numbers.below(2) {
                            0 => notification.wait_cancellable(),
                            _ => notification
                                .wait_timeout_cancellable(10 * span)
                                .map(|got| assert!(got, "its deadline comes before")),
                        };
                        match group.enter(|| timeout(span, wait)) {
                            Ok(()) => taken.fetch_add(1, Ordering::SeqCst),
                            Err(error) => {
                                assert!(is_cancelled(&error) || is_deadline(&error), "{error}");
                                late.fetch_add(1, Ordering::SeqCst)
                            }
                        };
                    }
                }
            };
            let tasks: Vec<_> = (0..4).map(|seed| runtime.spawn(receive(seed))).collect();
            let threads: Vec<_> = (10..12).map(|seed| thread::spawn(receive(seed))).collect();
            let mut numbers = Numbers(99);
            for n in 0..POSTS {
                if n % 500 == 0 {
                    let before = late.load(Ordering::SeqCst);
                    eventually(|| late.load(Ordering::SeqCst) > before);
                }
                if numbers.below(4) == 0 {
                    std::mem::take(&mut *token.lock().unwrap()).cancel();
                }
                tasks[numbers.below(4) as usize].cancel();
                notification.post();
                for _ in 0..numbers.below(600) {
                    std::hint::spin_loop();
                }
            }
            // A lost post would let these loop for ever.
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(taken.load(Ordering::SeqCst), POSTS);
            assert!(!notification.try_wait(), "a post was received twice");
        });
    });
}

#[test]
fn two_tasks_pass_a_turn_back_and_forth() {
    limit(60, || {
        each_run(|| {
            let (there, back) = (Arc::new(Notification::new()), Arc::new(Notification::new()));
            let other = {
                let (there, back) = (there.clone(), back.clone());
                task::spawn(move || {
                    for _ in 0..20_000 {
                        there.wait();
                        back.post();
                    }
                })
            };
            for _ in 0..20_000 {
                there.post();
                back.wait();
            }
            other.join().unwrap();
        });
    });
}

#[test]
fn threads_and_tasks_pass_a_turn_around_without_losing_it() {
    limit(60, || {
        each_runtime(|runtime| {
            // Without timeouts, which would cover up a wake-up that is lost.
            const ROUNDS: usize = 5_000;
            let ring: Arc<Vec<Notification>> = Arc::new((0..4).map(|_| Notification::new()).collect());
            let member = |n: usize| {
                let ring = ring.clone();
                move || {
                    for _ in 0..ROUNDS {
                        ring[n].wait();
                        ring[(n + 1) % ring.len()].post();
                    }
                }
            };
            let threads: Vec<_> = [0, 1].map(|n| thread::spawn(member(n))).into();
            let tasks: Vec<_> = [2, 3].map(|n| runtime.spawn(member(n))).into();
            ring[0].post();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            tasks.into_iter().for_each(|task| task.join().unwrap());
            assert!(ring[0].try_wait(), "the turn has come back to where it began");
        });
    });
}

#[test]
fn a_waiter_may_outlive_its_runtime() {
    limit(30, || {
        let notification = Arc::new(Notification::new());
        let runtime = Runtime::builder().cores(1).build().unwrap();
        let waiter = {
            let notification = notification.clone();
            runtime.spawn(move || notification.wait())
        };
        until_waiting(&runtime, "notification");
        assert!(runtime.shutdown(SHORT).is_err(), "it cannot be cancelled, so it is abandoned and named");
        // A post to one who is never to run again does no harm.
        notification.post();
        drop(waiter);
    });
}

#[test]
fn a_post_after_the_shutdown_is_not_for_a_waiter_that_was_abandoned() {
    if let Some(why) = task::why_not() {
        // A thread is never abandoned for good.
        return ec_test_support::skipped(why);
    }
    limit(30, || {
        let notification = Arc::new(Notification::new());
        let runtime = Runtime::builder().cores(1).build().unwrap();
        for builder in [task::Builder::new(), task::Builder::new().dedicated()] {
            let theirs = notification.clone();
            drop(runtime.spawn_with(builder, move || theirs.wait()).unwrap());
        }
        eventually(|| format!("{notification:?}").contains("waiters: 2"));
        assert_eq!(runtime.shutdown(SHORT).unwrap_err().names().len(), 2);
        notification.post();
        eventually(|| runtime.metrics().tasks_live == 1);
        assert!(!notification.try_wait(), "the first one was for the dedicated task, which has its thread");
        notification.post();
        assert!(notification.try_wait());
    });
}
