//! What the twins of calls with a limit have of their own: the limit, a deadline around the call and a cancel are told apart, and whoever has
//! given up leaves nothing behind.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::{Arc, Barrier, Condvar, Mutex, Once, OnceLock, RwLock, Semaphore};
use event_channel::task::{self, Builder, JoinSet};
use event_channel::time::{Duration, timeout};
use event_channel::{is_cancelled, is_deadline};
use net_common::{each_runtime_of, until_waiting};
use std::io;
use std::sync::mpsc;
use std::thread;

const SHORT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(3600);

/// On a plain thread, and in each kind of task.
fn everywhere(test: fn()) {
    limit(60, || {
        thread::spawn(test).join().unwrap();
        each_runtime_of(&[1, 2], |runtime| {
            runtime.run(test);
            runtime.spawn_with(Builder::new().dedicated(), test).unwrap().join().unwrap();
        });
    });
}

/// Waits for what does not come, with a limit of its own. True: until that.
type Twin = (&'static str, fn(Duration) -> io::Result<bool>);

const TWINS: &[Twin] = &[
    ("Mutex::lock", |limit| {
        let mutex = Mutex::new(());
        let _held = mutex.lock().unwrap();
        mutex.lock_timeout_cancellable(limit).map(|locked| locked.is_err())
    }),
    ("RwLock::read", |limit| {
        let lock = RwLock::new(());
        let _held = lock.write().unwrap();
        lock.read_timeout_cancellable(limit).map(|locked| locked.is_err())
    }),
    ("RwLock::write", |limit| {
        let lock = RwLock::new(());
        let _held = lock.read().unwrap();
        let result = lock.write_timeout_cancellable(limit).map(|locked| locked.is_err());
        assert!(lock.try_read().is_ok(), "who has given up is in nobody's way");
        result
    }),
    ("Semaphore::acquire", |limit| {
        Semaphore::new(0).acquire_timeout_cancellable(limit).map(|permit| permit.is_none())
    }),
    ("Semaphore::acquire_many", |limit| {
        let semaphore = Semaphore::new(2);
        let result = semaphore.acquire_many_timeout_cancellable(3, limit).map(|permits| permits.is_none());
        assert_eq!(semaphore.available_permits(), 2);
        result
    }),
    ("Barrier::wait", |limit| Barrier::new(2).wait_timeout_cancellable(limit).map(|met| met.is_none())),
    ("Once::wait", |limit| Once::new().wait_timeout_cancellable(limit).map(|done| !done)),
    ("OnceLock::wait", |limit| {
        OnceLock::<u8>::new().wait_timeout_cancellable(limit).map(|value| value.is_none())
    }),
    ("Condvar::wait", |limit| {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let result = condvar
            .wait_timeout_cancellable(mutex.lock().unwrap(), limit)
            .map(|waited| waited.unwrap().1.timed_out());
        assert!(mutex.try_lock().is_ok(), "the guard is gone");
        result
    }),
    ("Condvar::wait_while", |limit| {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let result = condvar
            .wait_timeout_while_cancellable(mutex.lock().unwrap(), limit, |()| true)
            .map(|waited| waited.unwrap().1.timed_out());
        assert!(mutex.try_lock().is_ok(), "the guard is gone");
        result
    }),
    ("JoinHandle::join", |limit| {
        let mut waits = task::spawn(task::park);
        let result = waits.join_timeout_cancellable(limit).map(|ended| ended.is_none());
        waits.task().unpark();
        waits.join().expect("the handle stays");
        result
    }),
    ("ScopedJoinHandle::join", |limit| {
        task::scope(|s| {
            let (end, ends) = mpsc::channel::<()>();
            let mut waits = s.spawn(move || {
                // (Also where a deadline around the scope is the child's as well.)
                task::blocking(|| ends.recv()).is_err()
            });
            let result = waits.join_timeout_cancellable(limit).map(|ended| ended.is_none());
            drop(end);
            assert!(waits.join().expect("the handle stays"));
            result
        })
    }),
    ("JoinSet::join_next", |limit| {
        let mut set = JoinSet::new();
        set.spawn(task::park_cancellable);
        let result = set.join_next_timeout_cancellable(limit).map(|ended| ended.is_err());
        assert_eq!(set.len(), 1);
        result
    }),
];

#[test]
fn a_limit_of_its_own_is_no_deadline_around_it() {
    everywhere(|| {
        for (name, twin) in TWINS {
            assert!(twin(SHORT).unwrap_or_else(|error| panic!("{name}: {error}")), "{name}");
            assert!(timeout(LONG, || twin(SHORT)).unwrap(), "{name}: the shorter one");
            let error = timeout(SHORT, || twin(LONG)).expect_err(name);
            assert!(is_deadline(&error), "{name}: {error}");
        }
    });
}

#[test]
fn a_cancel_ends_one_that_waits_with_a_limit() {
    limit(60, || {
        each_runtime_of(&[2], |runtime| {
            for (name, twin) in TWINS {
                let waits = runtime.spawn(|| twin(LONG));
                waits.cancel();
                let error = waits.join().unwrap().expect_err(name);
                assert!(is_cancelled(&error), "{name}: {error}");
            }
        });
    });
}

type Wait = fn(&(Mutex<u8>, Condvar)) -> io::Result<()>;

/// Also one that has been suspended before the cancel came.
#[test]
fn a_wait_that_is_cancelled_leaves_the_lock_free() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let shared = Arc::new((Mutex::new(0), Condvar::new()));
            let waits: [Wait; 4] = [
                |it| it.1.wait_cancellable(it.0.lock().unwrap()).map(drop),
                |it| it.1.wait_while_cancellable(it.0.lock().unwrap(), |zero| *zero == 0).map(drop),
                |it| it.1.wait_timeout_cancellable(it.0.lock().unwrap(), LONG).map(drop),
                |it| {
                    let guard = it.0.lock().unwrap();
                    it.1.wait_timeout_while_cancellable(guard, LONG, |zero| *zero == 0).map(drop)
                },
            ];
            for wait in waits {
                let theirs = shared.clone();
                let task = runtime.spawn(move || {
                    let result = wait(&theirs);
                    (result, theirs.0.try_lock().is_ok())
                });
                until_waiting(runtime, "condvar");
                task.cancel();
                let (result, is_free) = task.join().unwrap();
                assert!(is_cancelled(&result.unwrap_err()) && is_free);
                // What it waits for comes meanwhile: it is another one's.
                *shared.0.lock().unwrap() = 1;
                shared.1.notify_all();
                let zero = shared.1.wait_while_cancellable(shared.0.lock().unwrap(), |one| *one == 0);
                *zero.unwrap().unwrap() = 0;
            }
        });
    });
}

#[test]
fn a_condition_is_asked_once_more_when_the_time_is_over() {
    everywhere(|| {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        for (until, timed_out) in [(2, false), (3, true)] {
            let mut looks = 0;
            let condition = |_: &mut i32| {
                looks += 1;
                looks < until
            };
            let guard = mutex.lock().unwrap();
            let (_, result) =
                condvar.wait_timeout_while_cancellable(guard, SHORT, condition).unwrap().unwrap();
            assert_eq!((looks, result.timed_out()), (2, timed_out));
        }
    });
}

#[test]
fn what_was_not_set_is_dropped_and_what_another_one_makes_stays() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let cell = Arc::new(OnceLock::new());
            let (begun, begins) = mpsc::channel();
            let (end, ends) = mpsc::channel::<()>();
            let makes = {
                let cell = cell.clone();
                thread::spawn(move || {
                    cell.get_or_init(|| {
                        begun.send(()).unwrap();
                        let _ = ends.recv();
                        Arc::new(1)
                    });
                })
            };
            begins.recv().unwrap();
            let value = Arc::new(2);
            let sets = {
                let (cell, value) = (cell.clone(), value.clone());
                runtime.spawn(move || cell.set_cancellable(value).map(drop))
            };
            until_waiting(runtime, "once");
            sets.cancel();
            assert!(is_cancelled(&sets.join().unwrap().unwrap_err()));
            assert_eq!(Arc::strong_count(&value), 1);
            drop(end);
            makes.join().unwrap();
            assert_eq!(**cell.get().unwrap(), 1);
            assert_eq!(cell.set_cancellable(value).unwrap(), Err(Arc::new(2)));
        });
    });
}

/// A panic that was seen by a join with a limit is none of the scope's any more.
#[test]
fn a_scoped_task_is_joined_with_a_limit() {
    everywhere(|| {
        task::scope(|s| {
            assert!(s.spawn(|| panic!("on purpose")).join_timeout(LONG).unwrap().is_err());
            let mut fails = s.spawn(|| panic!("on purpose"));
            assert!(fails.join_timeout_cancellable(LONG).unwrap().unwrap().is_err());
            let waits = s.spawn(|| {
                task::park();
                7
            });
            let waits = waits.join_timeout(SHORT).expect_err("nobody unparks it");
            waits.task().unpark();
            assert_eq!(waits.join_timeout(LONG).unwrap().unwrap(), 7);
        });
    });
}
