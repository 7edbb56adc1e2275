//! The stack of spare threads, model-checked by loom against the production source.
//!
//! A spare that nobody wakes any more shows as a deadlock, which loom reports; an assignment that is lost or comes twice shows in
//! the count.
#![cfg(loom)]

// The file under test is the one the pool is built from; loom brings its primitives.
#[allow(dead_code)]
#[path = "../src/size/spares.rs"]
mod spares;

mod model;

mod sync {
    use std::ops::{Deref, DerefMut};
    use std::time::Instant;

    /// The face of the runtime's locks on loom's mutex.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    /// The inner guard is away only while its thread waits.
    pub(crate) struct MutexGuard<'a, T> {
        mutex: &'a Mutex<T>,
        guard: Option<loom::sync::MutexGuard<'a, T>>,
    }

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { mutex: self, guard: Some(self.0.lock().unwrap()) }
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.guard.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.guard.as_mut().unwrap()
        }
    }

    /// And on loom's condition variable. Loom knows no time: a deadline that is past has come at once,
    /// and any other never does.
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Condvar(loom::sync::Condvar::new())
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.guard = guard.guard.take().map(|inner| self.0.wait(inner).unwrap());
        }

        pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, end: Instant) -> bool {
            let timed_out = end <= Instant::now();
            if timed_out {
                // Others may come in between; not a yield, with which loom would always let one.
                guard.guard = None;
                guard.guard = Some(guard.mutex.0.lock().unwrap());
            } else {
                self.wait(guard);
            }
            timed_out
        }
    }
}

use ec_test_support::limit;
use loom::thread::{self, JoinHandle};
use model::explore;
use spares::{Spare, Spares};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Stack = Arc<Spares<usize, usize>>;

fn stack() -> Stack {
    Arc::new(Spares::new())
}

fn at_once() -> Instant {
    Instant::now()
}

/// (Later than any model ends.)
fn never() -> Instant {
    Instant::now() + Duration::from_secs(24 * 3600)
}

/// A thread, known as `name`, that waits once: what it got.
fn start(spares: &Stack, name: usize, end: fn() -> Instant) -> JoinHandle<Option<usize>> {
    let spares = spares.clone();
    thread::spawn(move || spares.wait(&Spare::new(name), end()))
}

/// Calls somebody and gives `assignment`: who it is for, and the assignment.
fn give(spares: &Stack, assignment: usize) -> Option<(usize, usize)> {
    let called = spares.call()?;
    let name = called.spare().info;
    called.give(assignment);
    Some((name, assignment))
}

fn start_giving(spares: &Stack, assignment: usize) -> JoinHandle<Option<(usize, usize)>> {
    let spares = spares.clone();
    thread::spawn(move || give(&spares, assignment))
}

/// A thread that tells all to leave.
fn close(spares: &Stack) -> JoinHandle<()> {
    let spares = spares.clone();
    thread::spawn(move || spares.close())
}

/// What `name` was given.
fn of(name: usize, given: &[Option<(usize, usize)>]) -> Vec<usize> {
    given.iter().flatten().filter(|(to, _)| *to == name).map(|(_, assignment)| *assignment).collect()
}

#[test]
fn who_is_called_gets_its_gift_however_late_it_is() {
    limit(120, || {
        let ends = explore(8, || {
            let spares = stack();
            let spare = start(&spares, 0, at_once);
            let given = give(&spares, 7);
            assert_eq!(spare.join().unwrap(), given.map(|(_, assignment)| assignment));
            assert_eq!(spares.len(), 0);
            given.is_some()
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn a_gift_arrives_although_all_are_told_to_leave() {
    limit(120, || {
        let ends = explore(8, || {
            let spares = stack();
            let spare = start(&spares, 0, never);
            let closer = close(&spares);
            let given = give(&spares, 7);
            assert_eq!(spare.join().unwrap(), given.map(|(_, assignment)| assignment));
            closer.join().unwrap();
            assert_eq!(spares.len(), 0);
            given.is_some()
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn one_spare_is_called_by_one_of_two() {
    limit(120, || {
        let ends = explore(8, || {
            let spares = stack();
            let spare = start(&spares, 0, never);
            let other = start_giving(&spares, 2);
            let given = [give(&spares, 1), other.join().unwrap()];
            spares.close();
            let got = spare.join().unwrap();
            assert_eq!(of(0, &given), Vec::from_iter(got), "it was called once, and got that");
            assert_eq!(spares.len(), 0);
            got
        });
        assert_eq!(ends, [None, Some(1), Some(2)]);
    });
}

#[test]
fn two_gifts_are_for_two() {
    limit(120, || {
        let ends = explore(3, || {
            let spares = stack();
            let first = start(&spares, 0, never);
            let second = start(&spares, 1, at_once);
            let other = start_giving(&spares, 2);
            let given = [give(&spares, 1), other.join().unwrap()];
            spares.close();
            let got = [first, second].map(|spare| spare.join().unwrap());
            assert_eq!(of(0, &given), Vec::from_iter(got[0]));
            assert_eq!(of(1, &given), Vec::from_iter(got[1]));
            assert_eq!(spares.len(), 0);
            got
        });
        let one = [None, Some(1), Some(2)];
        let all = one.iter().flat_map(|first| one.map(|second| [*first, second]));
        let possible = all.filter(|[first, second]| first.is_none() || first != second);
        assert_eq!(ends, Vec::from_iter(possible));
    });
}

#[test]
fn who_waits_again_gets_each_gift_once() {
    limit(120, || {
        let ends = explore(5, || {
            let spares = stack();
            let spare = thread::spawn({
                let spares = spares.clone();
                move || {
                    let me = Spare::new(0);
                    let mut got = Vec::from_iter(spares.wait(&me, at_once()));
                    while let Some(assignment) = spares.wait(&me, never()) {
                        got.push(assignment);
                    }
                    got
                }
            });
            let other = start_giving(&spares, 2);
            let given = [give(&spares, 1), other.join().unwrap()];
            spares.close();
            let got = spare.join().unwrap();
            let mut sorted = got.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, of(0, &given));
            assert_eq!(spares.len(), 0);
            got
        });
        assert_eq!(ends, [vec![], vec![1], vec![1, 2], vec![2], vec![2, 1]]);
    });
}

#[test]
fn who_was_called_for_nothing_waits_on() {
    limit(120, || {
        let ends = explore(8, || {
            let spares = stack();
            let spare = start(&spares, 0, never);
            let called = spares.call();
            let was = called.is_some();
            assert!(!was || spares.len() == 0, "it is off the stack meanwhile");
            drop(called);
            assert!(!was || spares.len() == 1, "and back on it, once");
            let given = give(&spares, 7);
            spares.close();
            assert_eq!(spare.join().unwrap(), given.map(|(_, assignment)| assignment));
            assert_eq!(spares.len(), 0);
            (was, given.is_some())
        });
        // It has no end: so who was called once is still there.
        assert_eq!(ends, [(false, false), (false, true), (true, true)]);
    });
}

#[test]
fn who_was_called_for_nothing_too_long_leaves() {
    limit(120, || {
        let ends = explore(8, || {
            let spares = stack();
            let spare = start(&spares, 0, at_once);
            let called = spares.call();
            let was = called.is_some();
            drop(called);
            assert_eq!(spare.join().unwrap(), None);
            assert_eq!(spares.len(), 0, "nobody calls it any more");
            was
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn who_was_called_for_nothing_gets_what_comes_before_it_leaves() {
    limit(120, || {
        let ends = explore(8, || {
            let spares = stack();
            let spare = start(&spares, 0, at_once);
            let called = spares.call();
            let was = called.is_some();
            drop(called);
            let given = give(&spares, 7);
            assert_eq!(spare.join().unwrap(), given.map(|(_, assignment)| assignment));
            assert_eq!(spares.len(), 0);
            (was, given.is_some())
        });
        assert_eq!(ends, [(false, false), (false, true), (true, false), (true, true)]);
    });
}

#[test]
fn who_was_called_for_nothing_while_all_leave_does_so_too() {
    limit(120, || {
        let ends = explore(8, || {
            let spares = stack();
            let spare = start(&spares, 0, never);
            let closer = close(&spares);
            let called = spares.call();
            let was = called.is_some();
            drop(called);
            assert_eq!(spare.join().unwrap(), None);
            closer.join().unwrap();
            assert_eq!(spares.len(), 0);
            was
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn who_is_wanted_stays_however_late_it_is_and_leaves_when_it_is_not() {
    limit(120, || {
        let ends = explore(8, || {
            let spares = stack();
            spares.want(1);
            let spare = start(&spares, 0, at_once);
            let seen = spares.len() == 1;
            let given = give(&spares, 7);
            spares.want(0);
            assert_eq!(spare.join().unwrap(), given.map(|(_, assignment)| assignment));
            assert_eq!(spares.len(), 0);
            (seen, given.is_some())
        });
        // Who was there once is there when it is called.
        assert_eq!(ends, [(false, false), (false, true), (true, true)]);
    });
}

#[test]
fn of_two_that_are_late_one_stays_if_one_is_wanted() {
    limit(120, || {
        let ends = explore(3, || {
            let spares = stack();
            spares.want(1);
            let waiting = [start(&spares, 0, at_once), start(&spares, 1, at_once)];
            let seen = spares.len();
            let given = give(&spares, 7);
            spares.want(0);
            let got = waiting.map(|spare| spare.join().unwrap());
            assert_eq!(
                Vec::from_iter(got.iter().flatten()),
                Vec::from_iter(given.iter().map(|(_, assignment)| assignment))
            );
            assert_eq!(spares.len(), 0);
            (seen > 0, given.is_some())
        });
        assert_eq!(ends, [(false, false), (false, true), (true, true)]);
    });
}

#[test]
fn all_leave_when_told_to() {
    limit(120, || {
        let ends = explore(3, || {
            let spares = stack();
            let waiting = [start(&spares, 0, never), start(&spares, 1, never), start(&spares, 2, at_once)];
            let seen = spares.len();
            spares.close();
            waiting.into_iter().for_each(|spare| assert_eq!(spare.join().unwrap(), None));
            assert_eq!(spares.len(), 0);
            assert_eq!(spares.wait(&Spare::new(3), never()), None, "nor does anybody stay who comes later");
            seen
        });
        assert_eq!(ends, [0, 1, 2, 3]);
    });
}
