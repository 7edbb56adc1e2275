//! Park and unpark, suspend and wake, on several threads.
#![cfg(not(loom))]

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{Random, Workers, until};
use ec_tasks::{Tokens, current, park, suspend, suspend_for_op, wake_raw, yield_now};
use ec_test_support::limit;
use ec_unkind as _;

/// Two tasks that each wait for the other's word before they go on: one lost wake-up and both
/// stand still.
#[test]
fn no_unpark_is_lost_between_two_tasks() {
    limit(60, || {
        let workers = Workers::new(4);
        let pairs: Vec<_> = (0..8)
            .map(|_| {
                let turn = Arc::new(AtomicU64::new(0));
                let pong = {
                    let turn = turn.clone();
                    workers.spawn(move || {
                        for round in 0..20_000 {
                            while turn.load(Ordering::Relaxed) != 2 * round + 1 {
                                park();
                            }
                            turn.store(2 * round + 2, Ordering::Relaxed);
                            // The partner is told through its own handle in `peer`.
                            PEERS.with_peer(&turn, |peer| peer.unpark());
                        }
                    })
                };
                let other = pong.task().clone();
                let ping = workers.spawn(move || {
                    PEERS.put(&turn, current().unwrap());
                    for round in 0..20_000 {
                        turn.store(2 * round + 1, Ordering::Relaxed);
                        other.unpark();
                        while turn.load(Ordering::Relaxed) != 2 * round + 2 {
                            park();
                        }
                    }
                });
                (ping, pong)
            })
            .collect();
        for (ping, pong) in pairs {
            ping.join().unwrap();
            pong.join().unwrap();
        }
    });
}

/// Who plays against whom.
struct Peers(parking_lot::Mutex<Vec<(usize, ec_tasks::Task)>>);

static PEERS: Peers = Peers(parking_lot::Mutex::new(Vec::new()));

impl Peers {
    fn put(&self, game: &Arc<AtomicU64>, task: ec_tasks::Task) {
        self.0.lock().push((Arc::as_ptr(game) as usize, task));
    }
    fn with_peer(&self, game: &Arc<AtomicU64>, f: impl FnOnce(&ec_tasks::Task)) {
        let key = Arc::as_ptr(game) as usize;
        let peer = self.0.lock().iter().find(|(game, _)| *game == key).unwrap().1.clone();
        f(&peer);
    }
}

/// As a completion does it: an operation on the waiter's own stack, one wake through a bare
/// pointer; the word written before the wake is there afterwards.
#[test]
fn a_completion_wakes_its_task_once_and_brings_its_result() {
    limit(60, || {
        let workers = Workers::new(2);
        let (send, receive) = std::sync::mpsc::channel::<(usize, usize)>();
        let driver = std::thread::spawn(move || {
            let mut random = Random(7);
            for (task, result) in receive {
                for _ in 0..random.below(60) {
                    std::hint::spin_loop();
                }
                // SAFETY: the waiter's stack holds the result until it has this one OP token,
                // and the task is alive as long as it waits.
                unsafe {
                    (*(result as *const AtomicU64)).store(42, Ordering::Relaxed);
                    wake_raw(task as *const (), Tokens::OP);
                }
            }
        });
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let send = send.clone();
                workers.spawn(move || {
                    let me = current().unwrap();
                    for _ in 0..25_000 {
                        let result = AtomicU64::new(0);
                        send.send((me.as_ptr() as usize, &raw const result as usize)).unwrap();
                        // Others may interfere meanwhile.
                        me.unpark();
                        // SAFETY: the one in flight is the one just sent.
                        assert_eq!(unsafe { suspend_for_op(Tokens::OP) }, Tokens::OP);
                        assert_eq!(result.load(Ordering::Relaxed), 42);
                    }
                })
            })
            .collect();
        drop(send);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        driver.join().unwrap();
    });
}

#[test]
fn an_unpark_that_comes_first_is_kept_and_only_one() {
    limit(20, || {
        let workers = Workers::new(1);
        let parked_again = Arc::new(AtomicBool::new(false));
        let flag = parked_again.clone();
        let task = workers.spawn(move || {
            let me = current().unwrap();
            me.unpark();
            me.unpark();
            park();
            flag.store(true, Ordering::SeqCst);
            park();
        });
        until(|| parked_again.load(Ordering::SeqCst));
        until(|| task.task().info().state == ec_tasks::TaskState::Suspended);
        task.task().unpark();
        task.join().unwrap();
    });
}

#[test]
fn a_task_wakes_only_for_what_it_accepts() {
    limit(20, || {
        let workers = Workers::new(1);
        let task = workers.spawn(|| {
            let first = suspend(Tokens::SYNC);
            let second = suspend(Tokens::PARK | Tokens::SYNC);
            (first, second)
        });
        until(|| task.task().info().state == ec_tasks::TaskState::Suspended);
        task.task().unpark();
        assert_eq!(task.task().info().state, ec_tasks::TaskState::Suspended);
        task.task().wake(Tokens::SYNC);
        assert_eq!(task.join().unwrap(), (Tokens::SYNC, Tokens::PARK));
    });
}

/// A user may not forge a completion: the task would leave a stack that the kernel writes to.
#[test]
fn only_the_driver_can_complete_an_operation() {
    limit(20, || {
        let workers = Workers::new(1);
        // SAFETY: there is nothing in flight that could be taken for another.
        let task = workers.spawn(|| unsafe { suspend_for_op(Tokens::OP | Tokens::PARK) });
        until(|| task.task().info().state == ec_tasks::TaskState::Suspended);
        task.task().wake(Tokens::OP);
        assert_eq!(task.task().info().state, ec_tasks::TaskState::Suspended);
        task.task().unpark();
        assert_eq!(task.join().unwrap(), Tokens::PARK);
    });
}

/// Each task keeps a pattern on its stack over many changes of thread, and is never on two at
/// once.
#[test]
fn tasks_migrate_at_each_yield_with_their_stacks() {
    limit(60, || {
        let workers = Workers::new(4);
        let moved = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..64u64)
            .map(|number| {
                let moved = moved.clone();
                workers.spawn(move || {
                    let mut random = Random(number + 1);
                    let pattern: [u64; 128] = std::array::from_fn(|_| random.below(u64::MAX));
                    let copy = std::hint::black_box(Box::new(pattern));
                    let running = AtomicBool::new(false);
                    let mut threads = HashSet::new();
                    let mut rounds = 0;
                    // Until somebody has changed threads, however long the system lets one worker run alone.
                    while rounds < 2_000 || !moved.load(Ordering::Relaxed) {
                        rounds += 1;
                        assert!(!running.swap(true, Ordering::Relaxed), "run by two at once");
                        threads.insert(ec_tasks::current_context() as usize);
                        assert!(running.swap(false, Ordering::Relaxed));
                        yield_now();
                        assert_eq!(std::hint::black_box(&pattern), &*copy);
                        if threads.len() > 1 {
                            moved.store(true, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// Wakers of every kind at one task; each of its waits ends, and it is never run twice at once.
#[test]
fn many_wakers_race_for_one_task() {
    limit(60, || {
        let workers = Workers::new(4);
        let stop = Arc::new(AtomicBool::new(false));
        let task = {
            let stop = stop.clone();
            workers.spawn(move || {
                let running = AtomicBool::new(false);
                loop {
                    suspend(Tokens::PARK | Tokens::SYNC);
                    assert!(!running.swap(true, Ordering::AcqRel), "run by two at once");
                    for _ in 0..20 {
                        std::hint::spin_loop();
                    }
                    running.store(false, Ordering::Release);
                    // The wake that follows the word is not lost either.
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        };
        let wakers: Vec<_> = (0..4)
            .map(|number| {
                let task = task.task().clone();
                std::thread::spawn(move || {
                    for _ in 0..50_000 {
                        task.wake(if number % 2 == 0 { Tokens::PARK } else { Tokens::SYNC });
                    }
                })
            })
            .collect();
        for waker in wakers {
            waker.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        task.task().unpark();
        task.join().unwrap();
    });
}

/// The scheduler lives as long as its `schedule` runs, even if the task that it queues ends at
/// once and was the last to refer to it.
#[test]
fn a_scheduler_outlives_its_own_schedule() {
    use ec_tasks::{Runnable, Scheduler, SpawnOptions, TaskId};
    struct Once(AtomicBool, Arc<AtomicBool>);
    // SAFETY: it runs the task at once, elsewhere; its panic fails the test.
    unsafe impl Scheduler for Once {
        fn schedule(&self, task: Runnable) {
            // Elsewhere, and to the end, before this call returns.
            std::thread::spawn(move || task.run()).join().map(|_| ()).unwrap();
            assert!(!self.1.load(Ordering::SeqCst), "dropped within its own call");
            self.0.store(true, Ordering::SeqCst);
        }
        fn task_finished(&self, _: TaskId) {}
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }
    impl Drop for Once {
        fn drop(&mut self) {
            self.1.store(true, Ordering::SeqCst);
        }
    }
    limit(20, || {
        let gone = Arc::new(AtomicBool::new(false));
        let scheduler = Arc::new(Once(AtomicBool::new(false), gone.clone()));
        let waits = || {
            // SAFETY: the one in flight is the one below.
            unsafe { suspend_for_op(Tokens::OP) };
        };
        let task = common::start(scheduler, SpawnOptions::new(), waits).unwrap();
        let raw = task.task().as_ptr() as usize;
        until(|| task.task().info().state == ec_tasks::TaskState::Suspended);
        drop(task);
        assert!(!gone.load(Ordering::SeqCst));
        // SAFETY: the task waits for this one.
        unsafe { wake_raw(raw as *const (), Tokens::OP) };
        until(|| gone.load(Ordering::SeqCst));
    });
}

#[test]
fn a_worker_that_wakes_a_foreign_task_does_not_keep_its_scheduler() {
    limit(20, || {
        let (own, foreign) = (Workers::new(1), Workers::new(1));
        let kept = Arc::downgrade(&foreign.queue);
        let task = foreign.spawn(park);
        let handle = task.task().clone();
        own.spawn(move || handle.unpark()).join().unwrap();
        task.join().unwrap();
        drop(foreign);
        assert!(kept.upgrade().is_none());
    });
}
