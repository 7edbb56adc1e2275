//! The end of a pool: at any moment, from anywhere, and what is left behind.

mod common;

use common::{go, migrating, named, nap, pool, threads_and_files, until, until_no_more_than};
use ec_channel::Request;
use ec_pool::Pool;
use ec_test_support::limit;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(30);

/// Some tests count what the process has.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// So many tasks are named. (On a machine that stands still a thread may be, too, that is about to leave.)
fn tasks_in(error: &ec_pool::ShutdownError) -> usize {
    error.names().iter().filter(|name| name.contains("(id ")).count()
}

/// Parks until it is cancelled.
fn obedient() {
    while !ec_tasks::take_cancel() {
        ec_tasks::suspend(ec_tasks::Tokens::SYNC);
    }
}

#[test]
fn tasks_are_cancelled_and_waited_for() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = pool(2);
        let tasks: Vec<_> = (0..100).map(|_| go(&pool, obedient)).collect();
        pool.shutdown(LONG).unwrap();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!((pool.metrics().tasks_live, pool.metrics().workers), (0, 0));
    });
}

#[test]
fn a_second_shutdown_is_ok() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = pool(2);
        pool.shutdown(SECOND).unwrap();
        pool.shutdown(Duration::ZERO).unwrap();
    });
}

#[test]
fn after_it_nothing_is_spawned_and_the_error_says_so() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = pool(1);
        pool.shutdown(SECOND).unwrap();
        // SAFETY: it is never run.
        let error = unsafe { pool.spawn(migrating(), || ()) }.unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
        assert!(pool.channel().post(Request::notification()).is_err());
    });
}

#[test]
fn who_would_not_stop_is_named() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        // On a machine that stands still meanwhile, a short grace is over before anybody could stop.
        for grace in [Duration::from_millis(50), SECOND, 10 * SECOND] {
            let pool = pool(2);
            let stubborn = named(&pool, Some("stubborn"), ec_tasks::park);
            let obedient = named(&pool, Some("obedient"), obedient);
            let error = pool.shutdown(grace).unwrap_err();
            assert!(error.to_string().contains("'stubborn'"), "{error}");
            assert!(!stubborn.is_finished());
            until("the workers have gone", || pool.metrics().workers == 0);
            if tasks_in(&error) == 1 {
                return obedient.join().unwrap();
            }
        }
        panic!("who stops is named as well");
    });
}

#[test]
fn tasks_that_yield_for_ever_do_not_hold_the_workers() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = pool(2);
        (0..5).for_each(|_| {
            drop(go(&pool, || {
                loop {
                    ec_tasks::yield_now();
                }
            }))
        });
        assert_eq!(tasks_in(&pool.shutdown(Duration::from_millis(20)).unwrap_err()), 5);
        until("the workers have gone", || pool.metrics().workers == 0);
    });
}

#[test]
fn a_worker_stuck_in_user_code_is_left_behind_and_goes_when_that_returns() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = pool(2);
        let (inside, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (there, gate) = (inside.clone(), release.clone());
        let _task = named(&pool, Some("blocks its thread"), move || {
            there.store(true, Ordering::Release);
            while !gate.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        until("it runs", || inside.load(Ordering::Acquire));
        let error = pool.shutdown(Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("blocks its thread"), "{error}");
        until("the others have left", || pool.metrics().workers == 1);
        release.store(true, Ordering::Release);
        until("it has left", || pool.metrics().workers == 0);
        assert_eq!(pool.metrics().tasks_live, 0);
    });
}

#[test]
fn in_one_of_its_own_tasks_it_waits_for_the_others_only() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        for cores in [1, 2] {
            let pool = Arc::new(pool(cores));
            let others: Vec<_> = (0..10).map(|_| go(&pool, obedient)).collect();
            let mine = pool.clone();
            let caller = go(&pool, move || {
                let result = mine.shutdown(LONG);
                // The workers are still there for this one.
                ec_tasks::yield_now();
                (result, mine.metrics().tasks_live, ec_tasks::cancel_pending())
            });
            assert_eq!(caller.join().unwrap(), (Ok(()), 1, false));
            others.into_iter().for_each(|task| task.join().unwrap());
            until("the workers have gone", || pool.metrics().workers == 0);
        }
    });
}

#[test]
fn two_tasks_may_call_it_at_once() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = Arc::new(pool(2));
        let both = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (mine, both) = (pool.clone(), both.clone());
                go(&pool, move || {
                    while !both.load(Ordering::Acquire) {
                        ec_tasks::yield_now();
                    }
                    mine.shutdown(LONG)
                })
            })
            .collect();
        both.store(true, Ordering::Release);
        callers.into_iter().for_each(|caller| caller.join().unwrap().unwrap());
        pool.shutdown(LONG).unwrap();
        assert_eq!(pool.metrics().workers, 0);
    });
}

#[test]
fn dropped_in_its_own_task_it_ends_afterwards() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        ec_unkind::no_other_runtime();
        let before = threads_and_files();
        let pool = pool(2);
        let handle = pool.handle();
        let task = go(&handle, move || {
            drop(pool);
            ec_tasks::yield_now();
            7
        });
        drop(handle);
        assert_eq!(task.join().unwrap(), 7);
        until_no_more_than(before);
    });
}

#[test]
fn in_a_handler_it_begins_and_does_not_wait() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = Arc::new(pool(1));
        let mine = Arc::downgrade(&pool);
        let request = Request::timer(Duration::from_millis(1)).on_complete(move |_, _| {
            assert!(ec_pool::with_current(|pool| pool.unwrap().is_in_handler()));
            mine.upgrade().unwrap().shutdown(LONG).unwrap();
        });
        pool.channel().post(request).unwrap();
        until("the worker has gone", || pool.metrics().workers == 0);
    });
}

#[test]
fn a_task_in_get_event_is_let_out() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = pool(2);
        let channel = pool.channel().clone();
        let getter = go(&pool, move || channel.get_event().map(drop));
        until("it waits", || {
            pool.dump().tasks.iter().any(|task| task.state == ec_tasks::TaskState::Suspended)
        });
        // Not only at the end of the grace: there is none.
        pool.shutdown(Duration::MAX).unwrap();
        assert!(getter.join().unwrap().is_err());
    });
}

#[test]
fn at_any_moment_under_load_it_ends_and_each_task_has_ended() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(120, || {
        for round in 0..60u64 {
            let pool = Arc::new(pool(1 + round as usize % 4));
            let ended = Arc::new(AtomicUsize::new(0));
            let started = Arc::new(AtomicUsize::new(0));
            let feed = {
                let (pool, ended, started) = (pool.clone(), ended.clone(), started.clone());
                move || {
                    loop {
                        let ended = ended.clone();
                        let body = move || {
                            while !ec_tasks::take_cancel() {
                                nap(Duration::from_micros(200));
                                ec_tasks::yield_now();
                            }
                            ended.fetch_add(1, Ordering::SeqCst);
                        };
                        // SAFETY: nothing of a thread is held across a suspension.
                        match unsafe { pool.spawn(migrating(), body) } {
                            Ok(_) => started.fetch_add(1, Ordering::SeqCst),
                            Err(_) => return,
                        };
                        // Now and then a pause, so that they do not pile up.
                        if started.load(Ordering::SeqCst) % 16 == 0 {
                            std::thread::sleep(Duration::from_micros(500));
                        }
                    }
                }
            };
            let feeders: Vec<_> = (0..3).map(|_| std::thread::spawn(feed.clone())).collect();
            std::thread::sleep(Duration::from_micros(round * 300));
            pool.shutdown(LONG).unwrap();
            feeders.into_iter().for_each(|feeder| feeder.join().unwrap());
            assert_eq!(ended.load(Ordering::SeqCst), started.load(Ordering::SeqCst));
            let metrics = pool.metrics();
            assert_eq!((metrics.tasks_live, metrics.workers, metrics.events_lost), (0, 0, 0));
        }
    });
}

#[test]
fn building_and_ending_leaks_no_thread_and_no_descriptor() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(120, || {
        // What the process keeps for good comes with the first.
        pool(2).shutdown(SECOND).unwrap();
        ec_unkind::no_other_runtime();
        let before = threads_and_files();
        for round in 0..30 {
            let pool = pool(1 + round % 8);
            (0..20).for_each(|_| drop(go(&pool, || nap(Duration::from_micros(100)))));
            if round % 2 == 0 {
                pool.shutdown(LONG).unwrap();
            }
        }
        until_no_more_than(before);
    });
}

#[test]
fn a_pool_that_cannot_be_built_leaves_nothing_behind() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        ec_unkind::no_other_runtime();
        let before = threads_and_files();
        assert!(Pool::builder().cores(0).build().is_err());
        assert!(Pool::builder().cores(4).max_threads(3).build().is_err());
        until_no_more_than(before);
    });
}

/// The longest that can be added to the time of day at all.
#[test]
fn however_long_the_grace_is_it_ends() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(30, || {
        let now = std::time::Instant::now();
        let longest = (0..64).rev().fold(0u64, |sum, bit| {
            let more = sum | 1 << bit;
            if now.checked_add(Duration::from_secs(more)).is_some() { more } else { sum }
        });
        for less in [0, 1, 10] {
            let pool = pool(1);
            pool.shutdown(Duration::from_secs(longest - less)).unwrap();
            assert_eq!(pool.metrics().workers, 0);
        }
    });
}
