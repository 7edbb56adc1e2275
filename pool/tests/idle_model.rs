//! The sleep-and-wake protocol, model-checked by loom against the production source.
//!
//! A worker that sleeps although work waits shows as a deadlock, which loom reports; a wake-up
//! too many shows in the count.
#![cfg(loom)]

// The file under test is the one the pool is built from; loom brings its primitives.
#[allow(dead_code)]
#[path = "../src/sleep/idle.rs"]
mod idle;

mod model;

mod sync {
    pub(crate) use crate::model::Mutex as SpinLock;
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
}

use ec_test_support::limit;
use idle::{Idle, Woken};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use model::explore;

/// A port one can sleep in: a wake-up that comes early is not lost.
struct Port {
    woken: Mutex<bool>,
    bell: Condvar,
}

struct Pool {
    idle: Idle,
    work: AtomicUsize,
    ports: Vec<Port>,
    done: AtomicUsize,
    total: usize,
    /// Who runs a unit stays in it until all are done, as a task that blocks its thread.
    blocking: bool,
    all_done: Port,
}

impl Pool {
    fn new(cores: usize, total: usize) -> Arc<Pool> {
        Pool::with(cores, total, false)
    }

    fn with(cores: usize, total: usize, blocking: bool) -> Arc<Pool> {
        let port = || Port { woken: Mutex::new(false), bell: Condvar::new() };
        Arc::new(Pool {
            idle: Idle::new(cores),
            work: AtomicUsize::new(0),
            ports: (0..cores).map(|_| port()).collect(),
            done: AtomicUsize::new(0),
            total,
            blocking,
            all_done: port(),
        })
    }

    fn queue_one(&self) {
        self.work.fetch_add(1, Ordering::AcqRel);
        self.notify();
    }

    fn notify(&self) {
        if let Some(index) = self.idle.notify() {
            self.wake(index);
        }
    }

    fn wake(&self, index: usize) {
        *self.ports[index].woken.lock().unwrap() = true;
        self.ports[index].bell.notify_one();
    }

    fn take(&self) -> bool {
        let mut seen = self.work.load(Ordering::Acquire);
        while seen > 0 {
            match self.work.compare_exchange(seen, seen - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// The worker's loop as the pool has it, in small.
    fn worker(&self, index: usize) {
        self.work(index, false);
    }

    /// One that is counted as asleep.
    fn sleeper(&self, index: usize) {
        let searching = self.sleep(index);
        self.work(index, searching);
    }

    fn work(&self, index: usize, mut searching: bool) {
        while self.done.load(Ordering::Acquire) < self.total {
            if !searching {
                searching = self.idle.begin_search();
            }
            if self.take() {
                if searching {
                    searching = false;
                    self.idle.end_search();
                    if self.work.load(Ordering::Acquire) > 0 {
                        self.notify();
                    }
                }
                if self.done.fetch_add(1, Ordering::AcqRel) + 1 == self.total {
                    (0..self.ports.len()).for_each(|port| self.wake(port));
                    *self.all_done.woken.lock().unwrap() = true;
                    self.all_done.bell.notify_all();
                } else if self.blocking {
                    let mut done = self.all_done.woken.lock().unwrap();
                    while !*done {
                        done = self.all_done.bell.wait(done).unwrap();
                    }
                }
                continue;
            }
            self.idle.fall_asleep(index, searching);
            searching = self.sleep(index);
        }
    }

    /// Whether it is to search then.
    fn sleep(&self, index: usize) -> bool {
        if self.work.load(Ordering::Acquire) == 0 {
            let port = &self.ports[index];
            let mut woken = port.woken.lock().unwrap();
            while !*woken {
                woken = port.bell.wait(woken).unwrap();
            }
            *woken = false;
        }
        self.idle.wake_up(index) == Woken::ByNotify
    }
}

#[test]
fn one_worker_never_sleeps_over_work() {
    limit(120, || {
        explore(4, || {
            let pool = Pool::new(1, 2);
            let worker = thread::spawn({
                let pool = pool.clone();
                move || pool.worker(0)
            });
            pool.queue_one();
            pool.queue_one();
            worker.join().unwrap();
        });
    });
}

#[test]
fn two_workers_and_two_producers_lose_no_wakeup() {
    limit(300, || {
        explore(2, || {
            let pool = Pool::new(2, 2);
            let worker = thread::spawn({
                let pool = pool.clone();
                move || pool.worker(0)
            });
            let producer = thread::spawn({
                let pool = pool.clone();
                move || pool.queue_one()
            });
            // This thread first queues, then works: fewer threads, so fewer interleavings to try.
            pool.queue_one();
            pool.worker(1);
            producer.join().unwrap();
            worker.join().unwrap();
        });
    });
}

#[test]
fn each_of_two_units_gets_a_worker_of_its_own() {
    limit(300, || {
        explore(2, || {
            let pool = Pool::with(2, 2, true);
            let worker = thread::spawn({
                let pool = pool.clone();
                move || pool.worker(0)
            });
            let producer = thread::spawn({
                let pool = pool.clone();
                move || pool.queue_one()
            });
            pool.queue_one();
            pool.worker(1);
            producer.join().unwrap();
            worker.join().unwrap();
        });
    });
}

#[test]
fn one_unit_of_work_wakes_one_sleeper_however_many_notify() {
    limit(120, || {
        explore(3, || {
            let idle = Arc::new(Idle::new(3));
            (0..3).for_each(|index| idle.fall_asleep(index, false));
            let other = thread::spawn({
                let idle = idle.clone();
                move || usize::from(idle.notify().is_some())
            });
            let mine = usize::from(idle.notify().is_some());
            assert_eq!(mine + other.join().unwrap(), 1, "the one woken is already searching");
            assert_eq!(idle.counts(), (2, 1));
        });
    });
}

#[test]
fn company_is_woken_only_for_one_that_is_alone() {
    limit(120, || {
        explore(3, || {
            let idle = Arc::new(Idle::new(3));
            (1..3).for_each(|index| idle.fall_asleep(index, false));
            let other = thread::spawn({
                let idle = idle.clone();
                move || idle.notify()
            });
            let partner = idle.call_partner();
            let notified = other.join().unwrap();
            if let Some(index) = partner {
                assert!(idle.wake_up(index) == Woken::AsPartner);
            }
            if let Some(index) = notified {
                assert!(idle.wake_up(index) == Woken::ByNotify);
            }
            // Who has a partner may still have work for a third one, but not the other way round.
            let searching = usize::from(notified.is_some());
            assert_eq!(idle.counts(), (2 - usize::from(partner.is_some()) - searching, searching));
            assert_eq!(searching, 1);
            (partner, notified)
        })
        .into_iter()
        .for_each(|end| assert!([(None, Some(2)), (Some(2), Some(1))].contains(&end), "{end:?}"));
    });
}

#[test]
fn nobody_sleeps_over_work_that_comes_while_company_is_asked_for() {
    limit(300, || {
        explore(2, || {
            let pool = Pool::with(2, 2, true);
            pool.idle.fall_asleep(0, false);
            let worker = thread::spawn({
                let pool = pool.clone();
                move || pool.sleeper(0)
            });
            let producer = thread::spawn({
                let pool = pool.clone();
                move || pool.queue_one()
            });
            // Awake and alone, perhaps; somebody else may have work at the same time, and it has some itself then.
            if let Some(index) = pool.idle.call_partner() {
                pool.wake(index);
            }
            pool.queue_one();
            pool.worker(1);
            producer.join().unwrap();
            worker.join().unwrap();
        });
    });
}
