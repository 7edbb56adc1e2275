//! `RwLock`: std's scenarios, from tasks, threads and both.

mod net_common;

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::sync::{Arc, RawRwLock, RwLock, RwLockWriteGuard, TryLockError, lock_api};
use event_channel::task;
use event_channel::time::{self, Duration};
use net_common::{Numbers, each_runtime_of, eventually, until_waiting, waiting};
use std::io::ErrorKind;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const SHORT: Duration = Duration::from_millis(2);

#[test]
fn many_read_or_one_writes() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let lock = Arc::new(RwLock::new((0u64, 0u64)));
            let inside = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
            let uses = |seed: u64| {
                let (lock, inside) = (lock.clone(), inside.clone());
                move || {
                    let mut numbers = Numbers(seed);
                    let mut wrote = 0;
                    for _ in 0..600 {
                        if numbers.below(4) == 0 {
                            let mut both = lock.write().unwrap();
                            assert_eq!(inside.0.load(Ordering::Relaxed), 0);
                            assert_eq!(inside.1.fetch_add(1, Ordering::Relaxed), 0);
                            both.0 += 1;
                            if numbers.below(8) == 0 {
                                task::yield_now();
                            }
                            both.1 += 1;
                            inside.1.fetch_sub(1, Ordering::Relaxed);
                            wrote += 1;
                        } else {
                            let both = lock.read().unwrap();
                            inside.0.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(inside.1.load(Ordering::Relaxed), 0);
                            assert_eq!(both.0, both.1);
                            if numbers.below(8) == 0 {
                                task::yield_now();
                            }
                            inside.0.fetch_sub(1, Ordering::Relaxed);
                        }
                    }
                    wrote
                }
            };
            let tasks: Vec<_> = (0..8).map(|seed| runtime.spawn(uses(seed))).collect();
            let threads: Vec<_> = (8..10).map(|seed| thread::spawn(uses(seed))).collect();
            let mut wrote = 0;
            wrote += tasks.into_iter().map(|task| task.join().unwrap()).sum::<u64>();
            wrote += threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>();
            assert_eq!(*lock.read().unwrap(), (wrote, wrote));
        });
    });
}

#[test]
fn a_panic_of_who_writes_poisons_it_and_one_of_who_reads_does_not() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let lock = Arc::new(RwLock::new(1));
            let theirs = lock.clone();
            let reads = runtime.spawn(move || {
                let _guard = theirs.read().unwrap();
                panic!("on purpose");
            });
            assert!(reads.join().is_err());
            assert!(!lock.is_poisoned());
            let theirs = lock.clone();
            let writes = runtime.spawn(move || {
                let mut guard = theirs.write().unwrap();
                *guard = 2;
                panic!("on purpose");
            });
            assert!(writes.join().is_err());
            assert!(lock.is_poisoned());
            assert_eq!(**lock.read().unwrap_err().get_ref(), 2);
            let error = lock.write().unwrap_err();
            assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
            drop(error);
            assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
            assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
            lock.clear_poison();
            *lock.write().unwrap() = 3;
            let mut lock = Arc::into_inner(lock).unwrap();
            *lock.get_mut().unwrap() += 1;
            assert_eq!(lock.into_inner().unwrap(), 4);
        });
    });
}

/// Also a destructor that writes while its task unwinds: who was panicking before does not poison.
#[test]
fn who_writes_while_it_unwinds_does_not_poison() {
    struct Writes<'a>(&'a RwLock<i32>);
    impl Drop for Writes<'_> {
        fn drop(&mut self) {
            *self.0.write().unwrap() += 1;
        }
    }
    let lock = RwLock::new(1);
    let unwinds = catch_unwind(|| {
        let _writes = Writes(&lock);
        panic!("on purpose");
    });
    assert!(unwinds.is_err());
    assert_eq!(*lock.read().unwrap(), 2);
}

/// As std's: one that was writing as the panic came, and reads on, does not poison either.
#[test]
fn who_lets_others_read_while_it_unwinds_does_not_poison() {
    struct Reads<'a>(&'a RwLock<i32>, Option<RwLockWriteGuard<'a, i32>>);
    impl Drop for Reads<'_> {
        fn drop(&mut self) {
            let reads = RwLockWriteGuard::downgrade(self.1.take().unwrap());
            assert_eq!(*self.0.read().unwrap() + *reads, 2);
        }
    }
    let lock = RwLock::new(1);
    let unwinds = catch_unwind(|| {
        let _reads = Reads(&lock, Some(lock.write().unwrap()));
        panic!("on purpose");
    });
    assert!(unwinds.is_err());
    assert!(!lock.is_poisoned());
}

#[test]
fn waits_with_a_limit_end_and_leave_nothing() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let waits = || {
                let lock = RwLock::new(());
                let reads = lock.read().unwrap();
                assert!(matches!(lock.write_timeout(SHORT), Err(TryLockError::WouldBlock)));
                let late = time::timeout(SHORT, || lock.write_cancellable().map(drop));
                assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
                // Nobody waits to write any more.
                drop(lock.try_read().unwrap());
                drop(reads);
                let writes = lock.write().unwrap();
                assert!(matches!(lock.read_timeout(SHORT), Err(TryLockError::WouldBlock)));
                let late = time::timeout(SHORT, || lock.read_cancellable().map(drop));
                assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
                drop(writes);
                drop(lock.try_write().unwrap());
            };
            waits();
            runtime.spawn(waits).join().unwrap();
        });
    });
}

/// A writer waits for a reader, and more readers behind the writer. It gives up, or is left behind: they read at once.
#[test]
fn a_writer_that_gives_up_holds_up_no_reader() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let lock = Arc::new(RwLock::named((), "held"));
            let held = lock.read().unwrap();
            let theirs = lock.clone();
            let writer = runtime.spawn(move || theirs.write_cancellable().map(|guard| drop(guard.unwrap())));
            until_waiting(runtime, "rwlock");
            assert!(lock.try_read().is_err(), "who comes to read waits behind it");
            let reads = |lock: Arc<RwLock<()>>| move || drop(lock.read().unwrap());
            let task = runtime.spawn(reads(lock.clone()));
            let thread = thread::spawn(reads(lock.clone()));
            eventually(|| waiting(runtime, "'held' at") == 2);
            writer.cancel();
            let error = writer.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Other);
            task.join().unwrap();
            thread.join().unwrap();
            drop(held);
            drop(lock.try_write().unwrap());
        });
    });
}

#[test]
fn a_writer_that_was_left_behind_holds_up_no_reader() {
    if let Some(why) = task::why_not() {
        return skipped(why);
    }
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let lock = Arc::new(RwLock::new(()));
            let held = lock.read().unwrap();
            let theirs = lock.clone();
            drop(runtime.spawn(move || drop(theirs.write())));
            until_waiting(runtime, "rwlock");
            let theirs = lock.clone();
            let (tell, told) = std::sync::mpsc::channel();
            let reads = thread::spawn(move || {
                tell.send(()).unwrap();
                drop(theirs.read().unwrap());
            });
            told.recv().unwrap();
            assert!(runtime.shutdown(Duration::ZERO).is_err());
            reads.join().unwrap();
            drop(held);
            drop(lock.try_write().unwrap());
        });
    });
}

/// Readers that take turns so that there is always one: a writer comes to write nevertheless. And writers, so that there is always one: a
/// reader comes to read.
#[test]
fn an_unbroken_row_starves_nobody() {
    limit(60, || {
        each_runtime_of(&[2, 8], |runtime| {
            for row_reads in [true, false] {
                let lock = Arc::new(RwLock::new(()));
                let ends = Arc::new(AtomicUsize::new(0));
                let row = |lock: Arc<RwLock<()>>, ends: Arc<AtomicUsize>| {
                    move || {
                        while ends.load(Ordering::Relaxed) == 0 {
                            if row_reads {
                                let _guard = lock.read().unwrap();
                                task::yield_now();
                            } else {
                                let _guard = lock.write().unwrap();
                                task::yield_now();
                            }
                        }
                    }
                };
                let tasks: Vec<_> = (0..4).map(|_| runtime.spawn(row(lock.clone(), ends.clone()))).collect();
                let thread = thread::spawn(row(lock.clone(), ends.clone()));
                let comes = {
                    let lock = lock.clone();
                    move || {
                        for _ in 0..5 {
                            if row_reads {
                                drop(lock.write().unwrap());
                            } else {
                                drop(lock.read().unwrap());
                            }
                        }
                    }
                };
                runtime.spawn(comes).join().unwrap();
                ends.store(1, Ordering::Relaxed);
                tasks.into_iter().for_each(|task| task.join().unwrap());
                thread.join().unwrap();
            }
        });
    });
}

#[test]
fn nobody_writes_between_a_write_and_what_its_writer_reads_then() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let lock = Arc::new(RwLock::new(0usize));
            let writes = |lock: Arc<RwLock<usize>>| {
                move || {
                    for _ in 0..200 {
                        let mut guard = lock.write().unwrap();
                        *guard += 1;
                        let mine = *guard;
                        let guard = RwLockWriteGuard::downgrade(guard);
                        task::yield_now();
                        assert_eq!(*guard, mine);
                    }
                }
            };
            let tasks: Vec<_> = (0..6).map(|_| runtime.spawn(writes(lock.clone()))).collect();
            let thread = thread::spawn(writes(lock.clone()));
            tasks.into_iter().for_each(|task| task.join().unwrap());
            thread.join().unwrap();
            assert_eq!(*lock.read().unwrap(), 1_400);
        });
    });
}

#[test]
fn it_is_what_std_has() {
    static NAMED: RwLock<u8> = RwLock::named(7, "seven");
    fn unwinds<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>(_: &T) {}
    fn crosses<T: Send + Sync>(_: &T) {}
    let lock = RwLock::from(1);
    unwinds(&lock);
    crosses(&lock);
    unwinds(&lock.read().unwrap());
    unwinds(&lock.write().unwrap());
    assert_eq!(format!("{lock:?}"), "RwLock { data: 1, poisoned: false, .. }");
    let guard = lock.write().unwrap();
    assert_eq!(format!("{guard:?} {guard}"), "1 1");
    assert_eq!(format!("{lock:?}"), "RwLock { data: <locked>, poisoned: false, .. }");
    assert_eq!(format!("{NAMED:?}"), "RwLock { name: \"seven\", data: 7, poisoned: false, .. }");
    assert_eq!(RwLock::<u8>::default().into_inner().unwrap(), 0);
    // Of something without a size.
    let slice: &RwLock<[i32]> = &RwLock::new([1, 2, 3]);
    slice.write().unwrap()[1] = 5;
    assert_eq!(&*slice.read().unwrap(), &[1, 5, 3][..]);
}

#[test]
fn it_is_a_lock_of_lock_apis_as_well() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let lock = Arc::new(lock_api::RwLock::<RawRwLock, usize>::new(0));
            let adds = |lock: Arc<lock_api::RwLock<RawRwLock, usize>>| {
                move || {
                    for _ in 0..500 {
                        *lock.write() += 1;
                        assert!(*lock.read() > 0);
                    }
                }
            };
            let tasks: Vec<_> = (0..4).map(|_| runtime.spawn(adds(lock.clone()))).collect();
            adds(lock.clone())();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            let reads = lock.read();
            assert!(lock.is_locked() && !lock.is_locked_exclusive());
            assert!(lock.try_write_for(SHORT).is_none());
            drop(reads);
            let writes = lock.write();
            assert!(lock.is_locked_exclusive());
            assert!(lock.try_read_for(SHORT).is_none());
            assert_eq!(*writes, 2_500);
        });
    });
}
