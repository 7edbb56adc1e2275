//! `Semaphore`, and with it what is under `RwLock` and `Notification`.

use crate::sync::base::face::{Sleeper, WaitKind, all_through};
use crate::sync::base::stock::{MOST, Stock};
use crate::sync::base::waiters::How;
use crate::sync::semaphore::Semaphore;
use crate::{explore, spawn, spawn_as};
use ec_test_support::limit;
use loom::cell::UnsafeCell;
use loom::sync::Arc;

#[test]
fn no_permit_is_lost_or_had_twice() {
    limit(120, || {
        let ends = explore(2, || {
            let semaphore = Arc::new(Semaphore::new(2));
            let others = [2, 1].map(|wants| {
                let semaphore = semaphore.clone();
                spawn(move || drop(semaphore.acquire_many(wants)))
            });
            drop(semaphore.acquire_many(2));
            others.into_iter().for_each(|other| other.join().unwrap());
            semaphore.available_permits()
        });
        assert_eq!(ends, [2]);
    });
}

/// Two are told at the same time.
#[test]
fn permits_that_come_together_are_for_several() {
    limit(120, || {
        let ends = explore(3, || {
            let semaphore = Arc::new(Semaphore::new(0));
            let others = [1, 1].map(|wants| {
                let semaphore = semaphore.clone();
                spawn(move || semaphore.acquire_many(wants).forget())
            });
            semaphore.add_permits(2);
            others.into_iter().for_each(|other| other.join().unwrap());
            semaphore.available_permits()
        });
        assert_eq!(ends, [0]);
    });
}

#[test]
fn who_is_cancelled_takes_nothing_with_it() {
    limit(120, || {
        let ends = explore(3, || {
            let semaphore = Arc::new(Semaphore::new(0));
            let first = Sleeper::new();
            let gives_up = {
                let semaphore = semaphore.clone();
                spawn_as(&first, move || semaphore.acquire_many_cancellable(2).map(drop).is_ok())
            };
            let waits = {
                let semaphore = semaphore.clone();
                spawn(move || drop(semaphore.acquire()))
            };
            semaphore.add_permits(1);
            first.cancel();
            // (There is one, and who wants two is in the way until it gives up.)
            waits.join().unwrap();
            let got = gives_up.join().unwrap();
            (got, semaphore.available_permits())
        });
        assert_eq!(ends, [(false, 1)]);
    });
}

/// What was promised to it is for the next one.
#[test]
fn who_is_left_behind_is_not_waited_for() {
    limit(240, || {
        for adds_first in [true, false] {
            let ends = explore(2, move || {
                let semaphore = Arc::new(Semaphore::new(0));
                let first = Sleeper::new();
                let is_left = {
                    let semaphore = semaphore.clone();
                    spawn_as(&first, move || semaphore.acquire_cancellable().map(drop).is_ok())
                };
                let waits = {
                    let semaphore = semaphore.clone();
                    spawn(move || drop(semaphore.acquire()))
                };
                if adds_first {
                    semaphore.add_permits(1);
                }
                first.leave();
                if !adds_first {
                    semaphore.add_permits(1);
                }
                waits.join().unwrap();
                all_through();
                // (In the model, where a thread has to end, it may get its permit at last.)
                let _ = is_left.join().unwrap();
                semaphore.available_permits()
            });
            assert_eq!(ends, [1]);
        }
    });
}

static RWLOCK: WaitKind = WaitKind { name: "rwlock", cancel: None, describe: |_, _| String::new() };

/// As a `RwLock`: who reads has one, who writes has all.
struct Guarded {
    stock: Stock,
    count: UnsafeCell<usize>,
}

impl Guarded {
    fn new() -> Arc<Guarded> {
        Arc::new(Guarded { stock: Stock::new(MOST), count: UnsafeCell::new(0) })
    }

    /// What is there afterwards, if it got the lock.
    fn uses(&self, wants: usize) -> Option<usize> {
        let how = || How { point: true, ..How::new(&RWLOCK, 0) };
        matches!(self.stock.take(wants, how), Ok(true)).then(|| self.let_go(wants))
    }

    fn let_go(&self, had: usize) -> usize {
        if had == MOST {
            self.count.with_mut(|count| unsafe { *count += 1 });
        }
        let count = self.count.with(|count| unsafe { *count });
        self.stock.add(had);
        count
    }
}

/// A task or thread that reads or writes.
fn uses(guarded: &Arc<Guarded>, wants: usize) -> loom::thread::JoinHandle<Option<usize>> {
    let guarded = guarded.clone();
    spawn(move || guarded.uses(wants))
}

#[test]
fn one_writes_and_others_read_and_none_is_forgotten() {
    limit(240, || {
        for others in [[1, 1], [1, MOST], [MOST, MOST]] {
            for mine in [1, MOST] {
                let writers = others.iter().chain([&mine]).filter(|wants| **wants == MOST).count();
                let ends = explore(2, move || {
                    let guarded = Guarded::new();
                    let others = others.map(|wants| uses(&guarded, wants));
                    guarded.uses(mine).unwrap();
                    others.into_iter().for_each(|other| assert!(other.join().unwrap().unwrap() <= writers));
                    guarded.uses(1).unwrap()
                });
                assert_eq!(ends, [writers]);
            }
        }
    });
}

/// While somebody reads a writer waits, and behind it a reader. It gives up, or is left behind, and the reader reads.
#[test]
fn a_writer_that_gives_up_holds_up_no_reader() {
    limit(240, || {
        for gone in [false, true] {
            let ends = explore(2, move || {
                let guarded = Guarded::new();
                let writer = Sleeper::new();
                assert!(guarded.stock.try_take(1));
                let gives_up = {
                    let guarded = guarded.clone();
                    spawn_as(&writer, move || guarded.uses(MOST))
                };
                let reads = uses(&guarded, 1);
                if gone {
                    writer.leave();
                } else {
                    writer.cancel();
                }
                // (It is read all the time.)
                assert_eq!(reads.join().unwrap(), Some(0));
                guarded.let_go(1);
                all_through();
                let _ = gives_up.join().unwrap();
                guarded.stock.try_take(MOST)
            });
            assert_eq!(ends, [true]);
        }
    });
}

/// Who has all keeps one.
#[test]
fn who_writes_and_reads_on_lets_others_read() {
    limit(120, || {
        let ends = explore(3, || {
            let guarded = Guarded::new();
            assert!(guarded.stock.try_take(MOST));
            let others = [1, MOST].map(|wants| uses(&guarded, wants));
            guarded.count.with_mut(|count| unsafe { *count = 1 });
            guarded.stock.add(MOST - 1);
            assert_eq!(guarded.let_go(1), 1, "nobody has written between");
            others.map(|other| other.join().unwrap().unwrap())
        });
        assert_eq!(ends, [[1, 2], [2, 2]]);
    });
}
