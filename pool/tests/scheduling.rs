//! Tasks run, on all cores, in turn, and nothing starves.

mod common;

use common::{go, migrating, named, nap, operate, pool, settled_pool, until, until_idle};
use ec_channel::raw::Recv;
use ec_test_support::limit;
use ec_unkind as _;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn every_task_of_a_storm_runs_once_on_1_2_and_8_cores() {
    for cores in [1, 2, 8] {
        limit(60, || {
            let pool = pool(cores);
            let runs = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..2_000)
                .map(|i| {
                    let runs = runs.clone();
                    go(&pool, move || {
                        (0..i % 4).for_each(|_| ec_tasks::yield_now());
                        runs.fetch_add(1, Ordering::Relaxed);
                        i
                    })
                })
                .collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.join().unwrap(), i);
            }
            assert_eq!(runs.load(Ordering::Relaxed), 2_000);
            let metrics = pool.metrics();
            assert_eq!(
                (metrics.tasks_spawned, metrics.tasks_finished, metrics.tasks_live),
                (2_000, 2_000, 0)
            );
        });
    }
}

#[test]
fn tasks_spawn_and_join_tasks_that_do_the_same() {
    fn fib(n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let pool = ec_pool::current().unwrap();
        let left = go(&pool, move || fib(n - 1));
        fib(n - 2) + left.join().unwrap()
    }
    for cores in [1, 2, 8] {
        limit(60, || {
            let pool = pool(cores);
            assert_eq!(go(&pool, || fib(15)).join().unwrap(), 610);
        });
    }
}

#[test]
fn work_queued_on_one_core_is_stolen_by_others() {
    limit(60, || {
        let pool = settled_pool(2);
        // The first task stays on its core until another thread has run one of those that it queued there.
        let task = go(&pool, || {
            let pool = ec_pool::current().unwrap();
            let here = std::thread::current().id();
            let elsewhere = Arc::new(AtomicBool::new(false));
            let tasks: Vec<_> = (0..64)
                .map(|_| {
                    let elsewhere = elsewhere.clone();
                    go(&pool, move || {
                        if std::thread::current().id() != here {
                            elsewhere.store(true, Ordering::Release);
                        }
                    })
                })
                .collect();
            while !elsewhere.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            tasks.into_iter().for_each(|task| task.join().unwrap());
        });
        task.join().unwrap();
        assert!(pool.metrics().steals > 0);
    });
}

#[test]
fn all_cores_run_tasks_at_once() {
    limit(60, || {
        let pool = settled_pool(4);
        let threads = Arc::new(Mutex::new(HashSet::new()));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let threads = threads.clone();
                go(&pool, move || {
                    threads.lock().insert(std::thread::current().id());
                    // Blocks its thread until all four are inside, each on a thread of its own.
                    while threads.lock().len() < 4 {
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn a_task_that_yields_goes_behind_all_others() {
    limit(30, || {
        let pool = settled_pool(1);
        let order = Arc::new(Mutex::new(String::new()));
        let log = order.clone();
        let first = go(&pool, move || {
            let pool = ec_pool::current().unwrap();
            let say = |what: char, log: &Arc<Mutex<String>>| log.lock().push(what);
            let others: Vec<_> = ['b', 'c']
                .into_iter()
                .map(|name| {
                    let log = log.clone();
                    go(&pool, move || log.lock().push(name))
                })
                .collect();
            say('a', &log);
            ec_tasks::yield_now();
            say('d', &log);
            others.into_iter().for_each(|task| task.join().unwrap());
        });
        first.join().unwrap();
        let order = order.lock();
        assert!(["abcd", "acbd"].contains(&order.as_str()), "{order}");
    });
}

/// Tasks that yield for ever, one more than there are cores, until told to stop.
fn yielders(pool: &ec_pool::Pool, cores: usize, each: impl Fn() + Send + Clone + 'static) -> impl FnOnce() {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..=cores)
        .map(|_| {
            let (stop, each) = (stop.clone(), each.clone());
            go(pool, move || {
                while !stop.load(Ordering::Relaxed) {
                    each();
                    ec_tasks::yield_now();
                }
            })
        })
        .collect();
    move || {
        stop.store(true, Ordering::Relaxed);
        tasks.into_iter().for_each(|task| task.join().unwrap());
    }
}

#[test]
fn a_full_run_queue_starves_no_timer() {
    for cores in [1, 2] {
        limit(30, || {
            let pool = pool(cores);
            let stop = yielders(&pool, cores, || ());
            let timer = go(&pool, || (0..20).for_each(|_| nap(Duration::from_millis(1))));
            timer.join().unwrap();
            stop();
        });
    }
}

#[test]
fn a_full_run_queue_starves_no_socket() {
    for cores in [1, 2] {
        limit(30, || {
            let pool = pool(cores);
            let stop = yielders(&pool, cores, || ());
            let (mut near, far) = UnixStream::pair().unwrap();
            let reader = go(&pool, move || {
                (0..20).for_each(|i| {
                    let mut byte = [0u8];
                    let (fd, buf) = (far.as_raw_fd(), byte.as_mut_ptr());
                    assert_eq!(operate(Recv { fd, buf, len: 1, flags: 0 }, None), 1);
                    assert_eq!(byte[0], i);
                });
            });
            for i in 0..20 {
                near.write_all(&[i]).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            reader.join().unwrap();
            stop();
        });
    }
}

#[test]
fn a_full_run_queue_starves_no_task_from_outside() {
    limit(30, || {
        let pool = pool(1);
        let stop = yielders(&pool, 1, || ());
        (0..20).for_each(|i| assert_eq!(go(&pool, move || i).join().unwrap(), i));
        stop();
    });
}

#[test]
fn long_runs_make_a_timer_late_by_few_of_them_not_by_61() {
    limit(60, || {
        let pool = pool(1);
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let stop = yielders(&pool, 1, move || {
            std::thread::sleep(Duration::from_millis(4));
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let during = go(&pool, move || {
            // Let the pace find its number.
            (0..100).for_each(|_| ec_tasks::yield_now());
            let before = runs.load(Ordering::Relaxed);
            (0..10).for_each(|_| nap(Duration::from_millis(5)));
            runs.load(Ordering::Relaxed) - before
        });
        let during = during.join().unwrap();
        stop();
        // Four for each nap; with a look after every 61 it would be some 550.
        assert!(during < 200, "{during} runs during ten naps");
    });
}

#[test]
fn a_panic_costs_no_worker() {
    limit(30, || {
        let pool = pool(2);
        let tasks: Vec<_> = (0..50).map(|_| go(&pool, || panic!("on purpose"))).collect();
        tasks.into_iter().for_each(|task: ec_tasks::JoinHandle<()>| assert!(task.join().is_err()));
        assert_eq!(go(&pool, || 7).join().unwrap(), 7);
        // (More, if they have got into each other's way at stderr.)
        assert!(pool.metrics().workers >= 2);
        until_idle(&pool);
    });
}

#[test]
fn the_pool_is_known_inside_its_tasks_and_only_there() {
    limit(30, || {
        let pool = pool(2);
        assert!(ec_pool::current().is_none());
        let handle = pool.handle();
        go(&pool, move || {
            assert!(ec_pool::current().unwrap().is(&handle));
            assert!(!ec_pool::with_current(|pool| pool.unwrap().is_in_handler()));
            assert!(ec_pool::current_port() < 2);
        })
        .join()
        .unwrap();
    });
}

#[test]
fn a_dedicated_task_belongs_to_the_pool_and_waits_through_its_channel() {
    limit(30, || {
        let pool = pool(1);
        let options = ec_tasks::SpawnOptions::new().kind(ec_tasks::Kind::Dedicated);
        // SAFETY: a dedicated task stays on its thread.
        let task = unsafe {
            pool.spawn(options, || {
                nap(Duration::from_millis(2));
                ec_pool::current().is_some()
            })
        };
        assert!(task.unwrap().join().unwrap());
    });
}

#[test]
fn a_dump_shows_each_task_and_what_it_waits_for() {
    limit(30, || {
        let pool = pool(2);
        let parked = named(&pool, Some("waiter"), ec_tasks::park);
        until("it is suspended", || {
            pool.dump().tasks.iter().any(|task| task.state == ec_tasks::TaskState::Suspended)
        });
        let table = pool.dump().to_string();
        assert!(
            table.contains("waiter") && table.contains("suspended") && table.contains("unpark"),
            "{table}"
        );
        parked.task().unpark();
        parked.join().unwrap();
        assert!(pool.dump().tasks.is_empty());
    });
}

#[test]
fn by_default_a_stack_with_its_guard_takes_256_kib_of_addresses() {
    limit(20, || {
        let pool = pool(1);
        let options = migrating().stack_size(pool.stack_size());
        // SAFETY: the task does not suspend.
        let task =
            unsafe { pool.spawn(options, || ec_tasks::current().unwrap().info().stack.unwrap().len()) };
        let usable = task.unwrap().join().unwrap();
        assert!(usable >= pool.stack_size(), "{usable}");
        assert!(usable + (64 << 10) <= 256 << 10, "{usable}");
    });
}
