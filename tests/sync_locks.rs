//! `Mutex` and `Condvar`: std's scenarios, from tasks, threads and both.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use event_channel::time::{self, Duration};
use event_channel::{is_deadline, task};
use net_common::each_runtime_of;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[test]
fn no_addition_is_lost_between_tasks_and_threads() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let sum = Arc::new(Mutex::new(0u64));
            let add = |sum: Arc<Mutex<u64>>, yields: bool| {
                move || {
                    for i in 0..2_000 {
                        let mut sum = sum.lock().unwrap();
                        let before = *sum;
                        if yields && i % 50 == 0 {
                            task::yield_now();
                        }
                        *sum = before + 1;
                    }
                }
            };
            let tasks: Vec<_> = (0..8).map(|i| runtime.spawn(add(sum.clone(), i % 2 == 0))).collect();
            let threads: Vec<_> = (0..2).map(|i| thread::spawn(add(sum.clone(), i == 0))).collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(*sum.lock().unwrap(), 20_000);
        });
    });
}

#[test]
fn a_panic_poisons_it_and_it_is_held_nevertheless() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let mutex = Arc::new(Mutex::new(1));
            let theirs = mutex.clone();
            let poisons = runtime.spawn(move || {
                let _guard = theirs.lock().unwrap();
                panic!("on purpose");
            });
            assert!(poisons.join().is_err());
            assert!(mutex.is_poisoned());
            let error = mutex.lock().unwrap_err();
            assert_eq!(**error.get_ref(), 1);
            assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
            drop(error);
            assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
            mutex.clear_poison();
            *mutex.lock().unwrap() = 2;
            let mut mutex = Arc::into_inner(mutex).unwrap();
            assert_eq!(*mutex.get_mut().unwrap(), 2);
            assert_eq!(mutex.into_inner().unwrap(), 2);
        });
    });
}

/// As std's, beside which each case is tried: a destructor waits, while its task or thread unwinds, with the guard from before the panic or
/// with one of its own.
#[test]
fn who_waits_while_it_unwinds_poisons_as_with_std() {
    macro_rules! case {
        ($sync:path, $before:expr, $limit:expr) => {{
            use $sync as sync;
            struct Waits<'a> {
                mutex: &'a sync::Mutex<i32>,
                condvar: &'a sync::Condvar,
                before: Option<sync::MutexGuard<'a, i32>>,
                limit: bool,
                went_well: &'a Cell<bool>,
            }
            impl Drop for Waits<'_> {
                fn drop(&mut self) {
                    let guard = self.before.take().unwrap_or_else(|| self.mutex.lock().unwrap());
                    let well = if self.limit {
                        self.condvar.wait_timeout(guard, Duration::from_millis(1)).map(drop).is_ok()
                    } else {
                        thread::scope(|scope| {
                            // (It gets the lock when the wait has begun.)
                            scope.spawn(|| {
                                *self.mutex.lock().unwrap() += 1;
                                self.condvar.notify_one();
                            });
                            self.condvar.wait_while(guard, |number| *number == 0).map(drop).is_ok()
                        })
                    };
                    self.went_well.set(well);
                }
            }
            let (mutex, condvar, waited) = (sync::Mutex::new(0), sync::Condvar::new(), Cell::new(false));
            let unwinds = catch_unwind(AssertUnwindSafe(|| {
                let before = $before.then(|| mutex.lock().unwrap());
                let (mutex, condvar, went_well) = (&mutex, &condvar, &waited);
                let _waits = Waits { mutex, condvar, before, limit: $limit, went_well };
                panic!("on purpose");
            }));
            assert!(unwinds.is_err());
            (waited.get(), mutex.is_poisoned())
        }};
    }
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let test = || {
                for (before, limit) in [(true, true), (true, false), (false, true), (false, false)] {
                    let ours = case!(event_channel::sync, before, limit);
                    assert_eq!(ours, case!(std::sync, before, limit), "{before} {limit}");
                    assert_eq!(ours, (true, before));
                }
            };
            test();
            runtime.run(test);
        });
    });
}

/// The wait that is given up has let go of the lock before: nothing is half done.
#[test]
fn who_gives_its_wait_up_while_it_unwinds_does_not_poison() {
    struct GivesUp<'a>(&'a Condvar, Option<MutexGuard<'a, ()>>);
    impl Drop for GivesUp<'_> {
        fn drop(&mut self) {
            let guard = self.1.take().unwrap();
            let late = time::timeout(Duration::ZERO, || self.0.wait_cancellable(guard).map(drop));
            assert!(is_deadline(&late.unwrap_err()));
        }
    }
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let unwinds = catch_unwind(AssertUnwindSafe(|| {
        let _waits = GivesUp(&condvar, Some(mutex.lock().unwrap()));
        panic!("on purpose");
    }));
    assert!(unwinds.is_err());
    drop(mutex.try_lock().expect("free, and not poisoned"));
}

/// Many tasks pass a number round, each waiting for its turn.
#[test]
fn who_is_notified_goes_on_in_tasks_and_threads() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            const EACH: usize = 50;
            const OF_THEM: usize = 8;
            let turn = Arc::new((Mutex::new(0usize), Condvar::new()));
            let player = |me: usize| {
                let turn = turn.clone();
                move || {
                    for round in 0..EACH {
                        let mine = round * OF_THEM + me;
                        let mut now = turn.1.wait_while(turn.0.lock().unwrap(), |now| *now != mine).unwrap();
                        *now += 1;
                        turn.1.notify_all();
                    }
                }
            };
            let tasks: Vec<_> = (0..OF_THEM - 2).map(|me| runtime.spawn(player(me))).collect();
            let threads: Vec<_> = (OF_THEM - 2..OF_THEM).map(|me| thread::spawn(player(me))).collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(*turn.0.lock().unwrap(), EACH * OF_THEM);
        });
    });
}

#[test]
fn waits_with_a_limit_end() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let waits = || {
                let (mutex, condvar) = (Mutex::new(()), Condvar::new());
                let short = Duration::from_millis(2);
                let (guard, result) = condvar.wait_timeout(mutex.lock().unwrap(), short).unwrap();
                assert!(result.timed_out());
                let (guard, result) = condvar.wait_timeout_while(guard, short, |()| true).unwrap();
                assert!(result.timed_out());
                #[allow(deprecated)]
                let (_guard, in_time) = condvar.wait_timeout_ms(guard, 2).unwrap();
                assert!(!in_time);
                assert!(matches!(mutex.lock_timeout(short), Err(TryLockError::WouldBlock)));
                let late = time::timeout(short, || mutex.lock_cancellable().map(drop));
                assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
            };
            waits();
            runtime.spawn(waits).join().unwrap();
        });
    });
}

/// Those that are cancelled in their waits, or give up, take no notification and no lock with them.
#[test]
fn nothing_is_lost_to_those_that_give_up() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let shared = Arc::new((Mutex::named(0usize, "tokens"), Condvar::named("more tokens")));
            let took = Arc::new(AtomicUsize::new(0));
            let taker = |i: usize| {
                let (shared, took) = (shared.clone(), took.clone());
                move || {
                    for n in 0..200 {
                        let limit = Duration::from_micros(((i * 37 + n * 11) % 300) as u64);
                        let got = time::timeout(limit, || {
                            let mut tokens = shared.0.lock_cancellable()?.unwrap();
                            while *tokens == 0 {
                                tokens = shared.1.wait_cancellable(tokens)?.unwrap();
                            }
                            *tokens -= 1;
                            std::io::Result::Ok(())
                        });
                        took.fetch_add(usize::from(got.is_ok()), Ordering::Relaxed);
                    }
                }
            };
            let takers: Vec<_> = (0..8).map(|i| runtime.spawn(taker(i))).collect();
            for n in 0..400 {
                *shared.0.lock().unwrap() += 1;
                shared.1.notify_one();
                if n % 16 == 0 {
                    takers[n % 8].cancel();
                }
                if n % 10 == 0 {
                    thread::sleep(Duration::from_micros(200));
                }
            }
            takers.into_iter().for_each(|taker| taker.join().unwrap());
            let left = *shared.0.lock().unwrap();
            assert_eq!(left + took.load(Ordering::Relaxed), 400);
            // Nobody holds the lock, and nobody is in the list: who comes gets both.
            let waits = runtime.spawn({
                let shared = shared.clone();
                move || drop(shared.1.wait_while(shared.0.lock().unwrap(), |tokens| *tokens < 1_000).unwrap())
            });
            *shared.0.lock().unwrap() = 1_000;
            shared.1.notify_one();
            // (It may come to wait only now.)
            waits.join().unwrap();
        });
    });
}

/// A task that was left behind by its runtime, with a lock before it, is not in the way of others.
#[test]
fn a_task_that_was_left_behind_holds_up_nobody() {
    limit(60, || {
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock().unwrap();
        each_runtime_of(&[1, 2], |runtime| {
            let theirs = mutex.clone();
            drop(runtime.spawn(move || drop(theirs.lock())));
            net_common::eventually(|| runtime.dump().to_string().contains("mutex") || !task::migrates());
            let _ = runtime.shutdown(Duration::ZERO);
        });
        let theirs = mutex.clone();
        let waits = thread::spawn(move || drop(theirs.lock().unwrap()));
        thread::sleep(Duration::from_millis(5));
        drop(guard);
        waits.join().unwrap();
        drop(mutex.lock().unwrap());
    });
}
