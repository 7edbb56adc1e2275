//! Panics: who is panicking, who is not, and what that poisons.

use crate::check::Check;
use crate::support::{eventually, hop, many, spawn, tasks};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, TryLockError};
use std::thread::panicking;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::unwinding("a_panic_is_caught_after_hops", caught_after_hops),
    Check::unwinding("unwinding_may_hop_and_only_that_task_is_panicking", unwinding_may_hop),
    Check::unwinding("a_caught_panic_inside_unwinding_is_allowed_and_may_hop", panics_nest),
    Check::unwinding("a_payload_is_carried_over_hops_and_thrown_again", payload_is_carried),
    Check::unwinding("join_delivers_the_payload", join_delivers),
    Check::unwinding("only_the_panicking_task_poisons_its_mutex", only_its_own_mutex_is_poisoned),
    Check::unwinding("a_guard_dropped_over_anothers_panic_poisons_nothing", anothers_panic_poisons_nothing),
    Check::unwinding("a_once_is_poisoned_by_its_task_alone", a_once_is_poisoned),
];

/// The payload of panics that are part of a check.
struct Planned;

/// Panics on purpose, without a word on stderr.
pub fn planned() -> ! {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Planned>() {
                before(info);
            }
        }));
    });
    panic_any(Planned)
}

/// It is the payload of `planned`, and not of an assertion that failed.
pub fn assert_planned(payload: Box<dyn Any + Send>) {
    if !payload.is::<Planned>() {
        resume_unwind(payload);
    }
}

fn caught_after_hops() {
    tasks(many(700), |_| {
        for _ in 0..5 {
            let caught = catch_unwind(|| {
                hop();
                assert!(!panicking());
                planned()
            });
            assert!(!panicking());
            hop();
            assert!(!panicking());
            assert_planned(caught.expect_err("it panics"));
        }
    });
}

/// Hops as it is dropped by a panic.
struct HopsInDrop;

impl Drop for HopsInDrop {
    fn drop(&mut self) {
        assert!(panicking());
        for _ in 0..8 {
            hop();
            assert!(panicking(), "the panic is forgotten over a hop");
        }
    }
}

/// At once, while others panic: a second count in the wrong place would end the process.
fn unwinding_may_hop() {
    let n = many(700);
    let unwinding = Arc::new(AtomicUsize::new(0));
    tasks(n, move |me| {
        if me % 3 == 0 {
            for _ in 0..20 {
                assert!(!panicking(), "somebody else's panic");
                hop();
            }
            return;
        }
        for _ in 0..2 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _hops = HopsInDrop;
                unwinding.fetch_add(1, Ordering::Relaxed);
                // All are in the middle of it before one of them goes on.
                eventually(|| unwinding.load(Ordering::Relaxed) >= n - n.div_ceil(3));
                planned()
            }));
            assert!(!panicking());
            assert_planned(caught.expect_err("it panics"));
        }
    });
}

fn panics_nest() {
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            for _ in 0..3 {
                let caught = catch_unwind(|| {
                    hop();
                    let _hops = HopsInDrop;
                    planned()
                });
                hop();
                assert!(panicking());
                assert_planned(caught.expect_err("it panics"));
            }
        }
    }
    tasks(many(400), |_| {
        let caught = catch_unwind(|| {
            let _outer = PanicsInDrop;
            planned()
        });
        hop();
        assert!(!panicking());
        assert_planned(caught.expect_err("it panics"));
    });
}

fn payload_is_carried() {
    tasks(many(400), |me| {
        let mut payload: Box<dyn Any + Send> = Box::new(me);
        for _ in 0..10 {
            hop();
            payload = catch_unwind(AssertUnwindSafe(|| resume_unwind(payload))).expect_err("thrown again");
            assert!(!panicking());
        }
        assert_eq!(payload.downcast_ref::<usize>(), Some(&me));
    });
}

fn join_delivers() {
    tasks(many(300), |_| {
        let other = spawn(|| {
            let _hops = HopsInDrop;
            hop();
            planned()
        });
        assert_planned(other.join().expect_err("it panics"));
        assert!(!panicking());
        hop();
    });
}

fn only_its_own_mutex_is_poisoned() {
    tasks(many(500), |me| {
        let (held, released) = (Mutex::new(me), Mutex::new(me));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            drop(released.lock().unwrap());
            let mut guard = held.lock().unwrap();
            hop();
            *guard += 1;
            let _hops = HopsInDrop;
            planned()
        }));
        assert_planned(caught.expect_err("it panics"));
        hop();
        assert!(held.is_poisoned() && !released.is_poisoned());
        assert_eq!(held.lock().unwrap_err().into_inner().checked_sub(1), Some(me));
        // Locked after the panic: nothing new to poison.
        held.clear_poison();
        let guard = held.lock().unwrap();
        hop();
        drop(guard);
        assert!(!held.is_poisoned());
    });
}

/// Some take and release guards all the time while the others are being unwound.
fn anothers_panic_poisons_nothing() {
    let n = many(600);
    let shared = Arc::new((Mutex::new(0_usize), AtomicUsize::new(0)));
    tasks(n, move |me| {
        if me % 2 == 0 {
            let caught = catch_unwind(|| {
                let _hops = HopsInDrop;
                hop();
                planned()
            });
            shared.1.fetch_add(1, Ordering::Relaxed);
            return assert_planned(caught.expect_err("it panics"));
        }
        let mine = Mutex::new(0);
        loop {
            let mut guard = mine.lock().expect("nobody who held it has panicked");
            hop();
            *guard += 1;
            drop(guard);
            match shared.0.try_lock() {
                Ok(mut all) => {
                    hop();
                    *all += 1;
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Poisoned(_)) => panic!("poisoned by a task that did not hold it"),
            }
            assert!(!panicking());
            if shared.1.load(Ordering::Relaxed) == n.div_ceil(2) {
                break;
            }
        }
    });
}

fn a_once_is_poisoned() {
    tasks(many(400), |_| {
        let (broken, sound) = (Once::new(), Once::new());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            broken.call_once(|| {
                hop();
                let _hops = HopsInDrop;
                planned()
            })
        }));
        assert_planned(caught.expect_err("it panics"));
        sound.call_once(hop);
        assert!(sound.is_completed() && !broken.is_completed());
        assert!(catch_unwind(AssertUnwindSafe(|| broken.call_once(|| ()))).is_err());
        broken.call_once_force(|state| assert!(state.is_poisoned()));
    });
}
