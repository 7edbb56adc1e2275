//! Shutdowns by several at once, and spawns that race with one.

mod common;

use common::{migrating, named, pool, until};
use ec_pool::ShutdownError;
use ec_tasks::{JoinHandle, Kind, SpawnOptions};
use ec_test_support::limit;
use ec_unkind as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

#[test]
fn two_threads_may_call_it_at_once_with_no_limit_of_time() {
    limit(60, || {
        for _ in 0..50 {
            let pool = pool(1);
            let start = Barrier::new(2);
            let shut = || {
                start.wait();
                pool.shutdown(Duration::MAX)
            };
            std::thread::scope(|threads| {
                let other = threads.spawn(shut);
                assert_eq!((shut(), other.join().unwrap()), (Ok(()), Ok(())));
            });
        }
    });
}

/// A task that calls shutdown, which has returned by now, and goes on with `rest`.
fn insider(pool: &Arc<ec_pool::Pool>, rest: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let returned = Arc::new(AtomicBool::new(false));
    let (mine, flag) = (pool.clone(), returned.clone());
    let task = named(pool, Some("insider"), move || {
        mine.shutdown(LONG).unwrap();
        flag.store(true, Ordering::Release);
        rest();
    });
    until("its shutdown has returned", || returned.load(Ordering::Acquire));
    task
}

#[test]
fn from_outside_a_task_that_has_called_it_is_cancelled_and_waited_for_like_the_others() {
    limit(60, || {
        let pool = Arc::new(pool(1));
        let task = insider(&pool, || {
            while !ec_tasks::take_cancel() {
                ec_tasks::suspend(ec_tasks::Tokens::SYNC);
            }
        });
        pool.shutdown(LONG).unwrap();
        task.join().unwrap();
        assert_eq!(pool.metrics().workers, 0);
    });
}

#[test]
fn from_outside_a_task_that_has_called_it_and_would_not_stop_is_named() {
    limit(60, || {
        let pool = Arc::new(pool(1));
        let task = insider(&pool, ec_tasks::park);
        let error = pool.shutdown(Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("'insider'"), "{error}");
        assert!(!task.is_finished());
    });
}

#[test]
fn a_task_spawned_just_before_it_runs_or_is_named() {
    limit(120, || {
        for _ in 0..300 {
            let pool = pool(1);
            let start = Barrier::new(3);
            let feed = || {
                start.wait();
                let mut tasks = Vec::new();
                // SAFETY: the task does not suspend.
                while let Ok(task) = unsafe { pool.spawn(migrating(), || ()) } {
                    tasks.push(task);
                }
                tasks
            };
            std::thread::scope(|threads| {
                let feeders = [threads.spawn(feed), threads.spawn(feed)];
                start.wait();
                let result = pool.shutdown(Duration::ZERO);
                let named = result.as_ref().map_or_else(ShutdownError::names, |()| &[]);
                for task in feeders.into_iter().flat_map(|feeder| feeder.join().unwrap()) {
                    let title = format!("(id {})", task.task().id());
                    // (Or it came so late that it is refused.)
                    if !task.is_finished() && !named.iter().any(|name| name.contains(&title)) {
                        until(&format!("{title}, which is not named, has ended"), || task.is_finished());
                    }
                }
            });
        }
    });
}

/// What it was to run is dropped, since there is no such thread, and panics as it goes.
#[test]
fn a_spawn_that_panics_is_not_waited_for() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("a closure is dropped"));
        }
    }
    limit(20, || {
        let pool = pool(1);
        let options = SpawnOptions::new().kind(Kind::Dedicated).name("no\0name");
        let bomb = Bomb;
        // SAFETY: it never runs.
        let spawn = || unsafe { pool.spawn(options, move || drop(bomb)) }.map(drop);
        let spawned = catch_unwind(AssertUnwindSafe(spawn));
        assert!(!matches!(spawned, Ok(Ok(()))));
        pool.shutdown(Duration::MAX).unwrap();
        assert_eq!((pool.metrics().tasks_spawned, pool.metrics().tasks_live), (0, 0));
    });
}
