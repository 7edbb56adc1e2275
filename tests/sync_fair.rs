//! The locks and the semaphore under load: nobody starves, and nothing is lost to those who give up.

mod net_common;

use ec_test_support::{limit, skipped, without_shares};
use ec_unkind as _;
use event_channel::sync::{Arc, Mutex, RwLock, Semaphore, channel};
use event_channel::{Runtime, task};
use net_common::eventually;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What 64 do with it, time and again. Tells what each came to within a second, after all have begun.
fn shares(runtime: &Runtime, threads: usize, turn: impl Fn(usize) + Send + Sync + 'static) -> Vec<usize> {
    const OF_THEM: usize = 64;
    let turns: Vec<AtomicUsize> = (0..OF_THEM).map(|_| AtomicUsize::new(0)).collect();
    let shared = Arc::new((turn, AtomicBool::new(false), turns));
    let wants = |n: usize| {
        let shared = shared.clone();
        move || {
            while !shared.1.load(Ordering::Relaxed) {
                (shared.0)(n);
                shared.2[n].fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let with_threads: Vec<_> = (0..threads).map(|n| thread::spawn(wants(n))).collect();
    let tasks: Vec<_> = (threads..OF_THEM).map(|n| runtime.spawn(wants(n))).collect();
    let now = || shared.2.iter().map(|turns| turns.load(Ordering::Relaxed)).collect::<Vec<_>>();
    eventually(|| now().iter().all(|turns| *turns > 0));
    let before = now();
    thread::sleep(Duration::from_secs(1));
    let turns = now().iter().zip(before).map(|(now, before)| now - before).collect();
    shared.1.store(true, Ordering::Relaxed);
    with_threads.into_iter().for_each(|thread| thread.join().unwrap());
    tasks.into_iter().for_each(|task| task.join().unwrap());
    turns
}

/// None of them less than a third of the share that is its own.
fn are_fair(what: &str, cores: usize, threads: usize, turns: &[usize]) {
    let all: usize = turns.iter().sum();
    let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
    println!("{what}, {cores} cores, {threads} threads: {all} turns, from {least} to {most}");
    assert!(least * turns.len() * 3 >= all, "{what}, {cores} cores, {threads} threads: {turns:?}");
}

/// Takes long enough for others to come.
fn works() {
    (0..200).for_each(|_| std::hint::spin_loop());
}

/// Each time with tasks alone, and with some threads among them.
fn each_mixture(what: &str, test: impl Fn(&Runtime, usize) -> Vec<usize>) {
    for cores in [1, 2, 8] {
        for threads in [0, 16] {
            let runtime = Runtime::builder().cores(cores).build().unwrap();
            are_fair(what, cores, threads, &test(&runtime, threads));
        }
    }
}

#[test]
fn of_64_that_want_a_mutex_none_starves() {
    if without_shares() {
        return;
    }
    limit(120, || {
        each_mixture("mutex", |runtime, threads| {
            let mutex = Mutex::new(());
            shares(runtime, threads, move |_| {
                let _guard = mutex.lock().unwrap();
                works();
            })
        });
    });
}

/// One in four writes.
#[test]
fn of_64_that_want_to_read_or_write_none_starves() {
    if without_shares() {
        return;
    }
    limit(120, || {
        each_mixture("rwlock", |runtime, threads| {
            let lock = RwLock::new(());
            shares(runtime, threads, move |n| {
                if n % 4 == 0 {
                    let _guard = lock.write().unwrap();
                    works();
                } else {
                    let _guard = lock.read().unwrap();
                    works();
                }
            })
        });
    });
}

/// Each wants another number.
#[test]
fn of_64_that_want_permits_none_starves() {
    if without_shares() {
        return;
    }
    limit(120, || {
        each_mixture("semaphore", |runtime, threads| {
            let semaphore = Semaphore::new(5);
            shares(runtime, threads, move |n| {
                let _permits = semaphore.acquire_many(n % 5 + 1);
                works();
            })
        });
    });
}

/// Does another task run while `sends` is called, on the only worker? (With threads for tasks it may at any time.)
fn others_run_while(sends: impl FnOnce() + Send + 'static) -> bool {
    let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
    runtime.run(|| {
        let ran = Arc::new(AtomicBool::new(false));
        let said = ran.clone();
        let other = task::spawn(move || said.store(true, Ordering::Relaxed));
        sends();
        let ran = ran.load(Ordering::Relaxed);
        other.join().unwrap();
        ran
    })
}

#[test]
fn a_sender_without_bound_lets_others_run_if_its_receivers_do_not_keep_up() {
    if !task::migrates() {
        return skipped("each task is a thread");
    }
    limit(60, || {
        // (Whoever sends so may hold a lock, as one who sends to all members of a room.)
        let keep_up = || {
            let (sender, receiver) = channel::unbounded();
            for number in 0..1000 {
                sender.send(number).unwrap();
                assert_eq!(receiver.try_recv(), Ok(number));
            }
        };
        assert!(!others_run_while(keep_up));
        let do_not = || {
            let (sender, _receiver) = channel::unbounded();
            (0..100).for_each(|number| sender.send(number).unwrap());
        };
        assert!(others_run_while(do_not));
    });
}

/// Each task that is told that the lock is free runs when all have run that are queued before it. So those that wait are not told one after
/// the other.
#[test]
fn many_that_wait_for_a_lock_do_not_wait_for_one_round_of_the_run_queue_each() {
    if !task::migrates() {
        return skipped("each task is a thread");
    }
    const WAITING: usize = 64;
    limit(60, || {
        let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
        let rounds = runtime.run(|| {
            let (over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let lock = Arc::new(Mutex::new(()));
            // Each round of the queue takes longer than anybody is to wait for one that has the lock.
            let queued: Vec<_> = (0..20)
                .map(|number| {
                    let (over, rounds) = (over.clone(), rounds.clone());
                    task::spawn(move || {
                        while !over.load(Ordering::Relaxed) {
                            let began = Instant::now();
                            while began.elapsed() < Duration::from_micros(50) {}
                            rounds.fetch_add(usize::from(number == 0), Ordering::Relaxed);
                            task::yield_now();
                        }
                    })
                })
                .collect();
            let held = lock.lock().unwrap();
            let come = Arc::new(AtomicUsize::new(0));
            let waiting: Vec<_> = (0..WAITING)
                .map(|_| {
                    let (lock, come) = (lock.clone(), come.clone());
                    task::spawn(move || {
                        come.fetch_add(1, Ordering::Relaxed);
                        drop(lock.lock().unwrap());
                    })
                })
                .collect();
            // (Who has come waits, since it runs on the only worker.)
            while come.load(Ordering::Relaxed) < WAITING {
                task::yield_now();
            }
            let before = rounds.load(Ordering::Relaxed);
            drop(held);
            waiting.into_iter().for_each(|task| task.join().unwrap());
            let took = rounds.load(Ordering::Relaxed) - before;
            over.store(true, Ordering::Relaxed);
            queued.into_iter().for_each(|task| task.join().unwrap());
            took
        });
        assert!(rounds < WAITING / 2, "{rounds} rounds");
    });
}
