//! `Once`, `OnceLock` and `LazyLock`: std's scenarios, from tasks, threads and both.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::{Arc, LazyLock, Notification, Once, OnceLock};
use event_channel::task;
use event_channel::time::{self, Duration};
use net_common::{each_runtime_of, eventually, until_waiting, waiting};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const SHORT: Duration = Duration::from_millis(2);

fn panics(f: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(f)).is_err());
}

/// Who comes while another one is at it waits; each sees what was done.
#[test]
fn it_is_done_once_and_all_see_it() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            for _ in 0..20 {
                let once = Arc::new((Once::new(), AtomicUsize::new(0)));
                let comes = |once: Arc<(Once, AtomicUsize)>| {
                    move || {
                        once.0.call_once(|| {
                            task::yield_now();
                            let did = once.1.load(Ordering::Relaxed);
                            once.1.store(did + 1, Ordering::Relaxed);
                        });
                        assert!(once.0.is_completed());
                        once.1.load(Ordering::Relaxed)
                    }
                };
                let tasks: Vec<_> = (0..6).map(|_| runtime.spawn(comes(once.clone()))).collect();
                let threads: Vec<_> = (0..2).map(|_| thread::spawn(comes(once.clone()))).collect();
                tasks.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), 1));
                threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 1));
            }
        });
    });
}

#[test]
fn a_panic_poisons_it_until_somebody_forces_it() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let check = || {
                let once = Once::new();
                panics(|| once.call_once(|| panic!("on purpose")));
                assert!(!once.is_completed());
                panics(|| once.call_once(|| ()));
                panics(|| once.wait());
                // A forced one may panic again.
                panics(|| once.call_once_force(|_| panic!("on purpose")));
                let mut forced = false;
                once.call_once_force(|state| {
                    assert!(state.is_poisoned());
                    forced = true;
                });
                assert!(forced && once.is_completed());
                once.call_once_force(|_| unreachable!());
                once.call_once(|| unreachable!());
                once.wait();
                let once = Once::new();
                once.call_once_force(|state| assert!(!state.is_poisoned()));
            };
            check();
            runtime.spawn(check).join().unwrap();
        });
    });
}

/// One is at it, and those who wait for it learn that it has panicked: who came to call panics, who forces it does it.
#[test]
fn who_waits_for_one_that_panics_is_told() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let shared = Arc::new((Once::named("begin"), Notification::new()));
            let theirs = shared.clone();
            let first = runtime.spawn(move || {
                theirs.0.call_once(|| {
                    theirs.1.wait();
                    panic!("on purpose");
                });
            });
            until_waiting(runtime, "notification");
            let theirs = shared.clone();
            let calls = runtime.spawn(move || theirs.0.call_once(|| unreachable!()));
            let theirs = shared.clone();
            let waits = runtime.spawn(move || theirs.0.wait());
            eventually(|| waiting(runtime, "'begin' at") == 2);
            let theirs = shared.clone();
            let waits_on = thread::spawn(move || theirs.0.wait_force());
            shared.1.post();
            assert!(first.join().is_err());
            assert!(calls.join().is_err());
            assert!(waits.join().is_err());
            let mut forced = false;
            shared.0.call_once_force(|_| forced = true);
            assert!(forced);
            waits_on.join().unwrap();
        });
    });
}

#[test]
fn waits_end_with_a_limit_or_a_cancel_and_not_for_those_who_cannot() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let shared = Arc::new((
                Once::new(),
                OnceLock::<u32>::named("cell"),
                LazyLock::new(|| 3),
                Notification::new(),
            ));
            let theirs = shared.clone();
            let first = runtime.spawn(move || {
                theirs.0.call_once(|| {
                    _ = theirs.1.get_or_init(|| {
                        theirs.3.wait();
                        5
                    })
                });
            });
            until_waiting(runtime, "notification");
            let theirs = shared.clone();
            let waits = move || {
                let (once, cell, lazy, _) = &*theirs;
                let late = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::TimedOut);
                late(time::timeout(SHORT, || once.wait_cancellable()).unwrap_err());
                late(time::timeout(SHORT, || once.call_once_cancellable(|| unreachable!())).unwrap_err());
                late(time::timeout(SHORT, || cell.wait_cancellable().copied()).unwrap_err());
                late(
                    time::timeout(SHORT, || cell.get_or_init_cancellable(|| unreachable!()).copied())
                        .unwrap_err(),
                );
                assert!(!once.wait_timeout(SHORT));
                assert!(cell.wait_timeout(SHORT).is_none());
                assert_eq!(LazyLock::force_cancellable(lazy).unwrap(), &3);
            };
            waits();
            runtime.spawn(waits).join().unwrap();
            let theirs = shared.clone();
            let cancelled = runtime.spawn(move || (theirs.0.wait_cancellable().is_err(), *theirs.1.wait()));
            until_waiting(runtime, "once");
            cancelled.cancel();
            until_waiting(runtime, "'cell' at");
            shared.3.post();
            assert_eq!(cancelled.join().unwrap(), (true, 5));
            first.join().unwrap();
            assert!(shared.0.wait_timeout(SHORT));
            assert_eq!(shared.1.wait_timeout(SHORT), Some(&5));
        });
    });
}

#[test]
fn a_cell_is_set_once() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            for _ in 0..20 {
                let cell = Arc::new(OnceLock::new());
                let sets = |n: usize, cell: Arc<OnceLock<usize>>| {
                    move || match n % 3 {
                        0 => usize::from(cell.set(n).is_ok()),
                        1 => {
                            let mut mine = 0;
                            cell.get_or_init(|| {
                                task::yield_now();
                                mine = 1;
                                n
                            });
                            mine
                        }
                        _ => {
                            assert_eq!(cell.wait(), cell.get().unwrap());
                            0
                        }
                    }
                };
                let tasks: Vec<_> = (0..7).map(|n| runtime.spawn(sets(n, cell.clone()))).collect();
                let threads: Vec<_> = (7..9).map(|n| thread::spawn(sets(n, cell.clone()))).collect();
                let mut set = 0;
                set += tasks.into_iter().map(|task| task.join().unwrap()).sum::<usize>();
                set += threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>();
                assert_eq!(set, 1);
            }
        });
    });
}

#[test]
fn a_cell_is_what_std_has() {
    static NAMED: OnceLock<String> = OnceLock::named("configuration");
    fn as_std<T: Send + Sync + UnwindSafe + RefUnwindSafe>(_: &T) {}
    let mut cell = OnceLock::new();
    as_std(&cell);
    assert_eq!(format!("{cell:?}"), "OnceLock(<uninit>)");
    // A panic leaves it as it was.
    panics(|| _ = cell.get_or_init(|| panic!("on purpose")));
    assert_eq!(cell.get(), None);
    assert_eq!(cell.set(String::from("one")), Ok(()));
    assert_eq!(cell.set(String::from("two")), Err(String::from("two")));
    cell.get_mut().unwrap().push('!');
    assert_eq!(format!("{cell:?}"), "OnceLock(\"one!\")");
    let clone = cell.clone();
    assert_eq!(clone, cell);
    assert_eq!(cell.take().as_deref(), Some("one!"));
    assert_eq!(cell.take(), None);
    assert_eq!(cell.get_or_init(|| String::from("three")), "three");
    assert_ne!(clone, cell);
    assert_eq!(cell.into_inner().as_deref(), Some("three"));
    assert_eq!(OnceLock::from(3).get(), Some(&3));
    assert_eq!(OnceLock::<u8>::default().into_inner(), None);
    assert_eq!(NAMED.name(), Some("configuration"));
    // What it has is dropped with it, once.
    let counted = Arc::new(());
    let cell = OnceLock::from(counted.clone());
    assert_eq!(Arc::strong_count(&counted), 2);
    drop(cell);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn a_lazy_value_is_made_when_it_is_first_used() {
    limit(60, || {
        static CALLED: AtomicUsize = AtomicUsize::new(0);
        static LAZY: LazyLock<usize> = LazyLock::new(|| {
            task::yield_now();
            CALLED.fetch_add(1, Ordering::Relaxed) + 41
        });
        assert_eq!(format!("{LAZY:?}"), "LazyLock(<uninit>)");
        assert_eq!(CALLED.load(Ordering::Relaxed), 0);
        each_runtime_of(&[1, 2, 8], |runtime| {
            let tasks: Vec<_> = (0..6).map(|_| runtime.spawn(|| *LAZY)).collect();
            assert_eq!(thread::spawn(|| *LAZY).join().unwrap(), 41);
            tasks.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), 41));
        });
        assert_eq!(CALLED.load(Ordering::Relaxed), 1);
        assert_eq!(format!("{LAZY:?}"), "LazyLock(41)");
    });
}

#[test]
fn a_lazy_value_whose_maker_panics_is_never_there() {
    fn as_std<T: Send + Sync + UnwindSafe + RefUnwindSafe>(_: &T) {}
    let called = AtomicUsize::new(0);
    let lazy: LazyLock<u8, _> = LazyLock::named(
        || {
            called.fetch_add(1, Ordering::Relaxed);
            panic!("on purpose")
        },
        "never",
    );
    as_std(&lazy);
    panics(|| _ = *lazy);
    panics(|| _ = LazyLock::force(&lazy));
    assert_eq!(called.load(Ordering::Relaxed), 1);
    assert_eq!(LazyLock::name(&lazy), Some("never"));
    assert_eq!(*LazyLock::<u8>::default(), 0);
    // What makes it is dropped with one that was never used.
    let counted = Arc::new(());
    let theirs = counted.clone();
    drop(LazyLock::new(move || theirs));
    assert_eq!(Arc::strong_count(&counted), 1);
}
