//! The lock under `Mutex`.

use crate::explore;
use crate::sync::base::face::{Instant, Sleeper, Stop, all_through};
use crate::sync::base::lock::Lock;
use crate::sync::base::names::Name;
use ec_test_support::limit;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A lock, and what only its holder touches: loom watches.
struct Guarded {
    lock: Lock,
    count: UnsafeCell<usize>,
}

impl Guarded {
    fn new() -> Arc<Guarded> {
        Arc::new(Guarded { lock: Lock::new(Name::none()), count: UnsafeCell::new(0) })
    }

    fn add(&self) {
        self.count.with_mut(|count| unsafe { *count += 1 });
        self.lock.release();
    }

    fn count(&self) -> usize {
        self.count.with(|count| unsafe { *count })
    }

    /// As `who`: true if it got the lock.
    fn adds_as(&self, who: &Sleeper) -> Result<bool, Stop> {
        who.be();
        let got = self.lock.acquire(None::<Instant>, true)?;
        assert!(got, "there was no deadline");
        self.add();
        Ok(true)
    }
}

#[test]
fn one_has_it_at_a_time_and_none_is_forgotten() {
    limit(120, || {
        let ends = explore(2, || {
            let guarded = Guarded::new();
            let others = [0, 1].map(|_| {
                let guarded = guarded.clone();
                thread::spawn(move || guarded.adds_as(&Sleeper::new()).unwrap())
            });
            guarded.adds_as(&Sleeper::new()).unwrap();
            others.into_iter().for_each(|other| assert!(other.join().unwrap()));
            guarded.count()
        });
        assert_eq!(ends, [3]);
    });
}

#[test]
fn who_is_cancelled_takes_nothing_with_it() {
    limit(120, || {
        let ends = explore(3, || {
            let guarded = Guarded::new();
            let first = Sleeper::new();
            assert!(guarded.lock.try_acquire());
            let gives_up = {
                let (guarded, first) = (guarded.clone(), first.clone());
                thread::spawn(move || guarded.adds_as(&first))
            };
            let waits = {
                let guarded = guarded.clone();
                thread::spawn(move || guarded.adds_as(&Sleeper::new()).unwrap())
            };
            first.cancel();
            guarded.add();
            let got = gives_up.join().unwrap() != Err(Stop::Cancel);
            assert!(waits.join().unwrap());
            (got, guarded.count())
        });
        assert_eq!(ends, [(false, 2), (true, 3)]);
    });
}

/// It may have been told already, or is told afterwards.
#[test]
fn who_is_left_behind_is_not_waited_for() {
    limit(240, || {
        for releases_first in [true, false] {
            let ends = explore(2, move || {
                let guarded = Guarded::new();
                let first = Sleeper::new();
                assert!(guarded.lock.try_acquire());
                let is_left = {
                    let (guarded, first) = (guarded.clone(), first.clone());
                    thread::spawn(move || guarded.adds_as(&first))
                };
                let waits = {
                    let guarded = guarded.clone();
                    thread::spawn(move || guarded.adds_as(&Sleeper::new()).unwrap())
                };
                if releases_first {
                    guarded.add();
                }
                first.leave();
                if !releases_first {
                    guarded.add();
                }
                assert!(waits.join().unwrap());
                all_through();
                // (In the model, where a thread has to end, it may have the lock at last.)
                let _ = is_left.join().unwrap();
                guarded.lock.try_acquire()
            });
            assert_eq!(ends, [true]);
        }
    });
}

/// It is kept for the first that waits, who does not come for long: then who comes takes it, and the second is told, too.
#[test]
fn it_is_not_kept_for_one_that_is_late_and_those_behind_it_are_told() {
    limit(240, || {
        let ends = explore(2, || {
            let guarded = Guarded::new();
            assert!(guarded.lock.try_acquire());
            let others = [0, 1].map(|_| {
                let guarded = guarded.clone();
                thread::spawn(move || guarded.adds_as(&Sleeper::new()).unwrap())
            });
            guarded.add();
            guarded.adds_as(&Sleeper::new()).unwrap();
            others.into_iter().for_each(|other| assert!(other.join().unwrap()));
            guarded.count()
        });
        assert_eq!(ends, [4]);
    });
}
