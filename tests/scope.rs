//! [`task::scope`]: what its children borrow, and what of them is left when it returns; their panics; cancels and deadlines that go to
//! them. (How it ends where a runtime, a process or a coroutine does: `scope_ends.rs`. Tokens
//! and shields: `scope_around.rs`.)

mod net_common;
mod scope_common;

use ec_unkind as _;
use event_channel::sync::Notification;
use event_channel::task;
use event_channel::time::timeout;
use net_common::eventually;
use scope_common::{
    Counts, End, LONG, SHORT, cancelled_when, everywhere, panic_of, waits, waits_shortly, words,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn children_read_and_change_what_is_around_the_scope() {
    everywhere(|| {
        let mut numbers = vec![1, 2, 3];
        let mut other = 0;
        let (sum, there) = task::scope(|s| {
            let sum = s.spawn(|| numbers.iter().sum::<i32>());
            s.spawn(|| {
                task::yield_now();
                other += numbers[0] + numbers[2];
            });
            (sum.join().unwrap(), &numbers)
        });
        assert_eq!((sum, other, there.len()), (6, 4, 3));
        task::scope(|s| numbers.iter_mut().for_each(|number| drop(s.spawn(move || *number *= 10))));
        assert_eq!(numbers, [10, 20, 30]);
    });
}

/// (What std's test of this name is about.)
#[test]
fn a_handle_may_be_joined_by_who_borrows_it() {
    everywhere(|| {
        struct Looks<'scope, 'a>(&'a task::ScopedJoinHandle<'scope, ()>);
        let value = String::from("borrowed");
        task::scope(|s| {
            let child = s.spawn(|| assert_eq!(value, "borrowed"));
            while !Looks(&child).0.is_finished() {
                task::yield_now();
            }
            child.join().unwrap();
        });
    });
}

#[test]
fn children_start_children_of_the_same_scope() {
    fn tree<'scope>(s: &'scope task::Scope<'scope, '_>, depth: u32, leaves: &'scope AtomicUsize) {
        for _ in 0..3 {
            match depth {
                0 => _ = leaves.fetch_add(1, Ordering::Relaxed),
                _ => drop(s.spawn(move || tree(s, depth - 1, leaves))),
            }
        }
    }
    everywhere(|| {
        let leaves = AtomicUsize::new(0);
        task::scope(|s| tree(s, 4, &leaves));
        assert_eq!(leaves.into_inner(), 3usize.pow(5));
        // Also scopes in children, and a scope's handle in another child.
        let sum = task::scope(|s| {
            let seven = s.spawn(|| task::scope(|inner| inner.spawn(|| 7).join().unwrap()));
            s.spawn(move || seven.join().unwrap() + 1).join().unwrap()
        });
        assert_eq!(sum, 8);
    });
}

#[test]
fn what_children_hold_and_return_is_gone_when_the_scope_returns() {
    everywhere(|| {
        let dropped = AtomicUsize::new(0);
        for round in 1..=40 {
            task::scope(|s| {
                // A closure's, and a result that nobody wants: dropped before its end, at once, and after it.
                let held = Counts(&dropped);
                drop(s.spawn(|| drop(held)));
                drop(s.spawn(|| Counts(&dropped)));
                let late = s.spawn(|| Counts(&dropped));
                let ended = s.spawn(|| Counts(&dropped));
                while !ended.is_finished() {
                    task::yield_now();
                }
                drop((late, ended));
            });
            assert_eq!(dropped.load(Ordering::Relaxed), 4 * round);
        }
    });
}

/// std's: a result that has been dropped before it was joined is as good.
#[test]
fn a_result_is_dropped_before_its_scope_returns_and_after_it_was_joined() {
    everywhere(|| {
        let ended = AtomicBool::new(false);
        struct Sets<'a>(&'a AtomicBool);
        impl Drop for Sets<'_> {
            fn drop(&mut self) {
                event_channel::time::sleep(Duration::from_millis(5));
                self.0.store(true, Ordering::Relaxed);
            }
        }
        task::scope(|s| {
            let child = s.spawn(|| Sets(&ended));
            let result = child.join().unwrap();
            assert!(!ended.load(Ordering::Relaxed));
            drop(result);
            assert!(ended.swap(false, Ordering::Relaxed));
            s.spawn(|| Sets(&ended));
        });
        assert!(ended.into_inner());
    });
}

#[test]
fn the_result_of_a_leaked_handle_is_leaked_and_the_scope_returns() {
    everywhere(|| {
        let dropped = AtomicUsize::new(0);
        task::scope(|s| {
            std::mem::forget(s.spawn(|| Counts(&dropped)));
            // A handle in the result of its own task.
            let place = std::sync::Arc::new(Mutex::new(None));
            let inside = place.clone();
            let child = s.spawn(move || inside);
            *place.lock().unwrap() = Some(Box::new(child) as Box<dyn Send + '_>);
        });
        assert_eq!(dropped.into_inner(), 0);
    });
}

#[test]
fn a_panic_that_nobody_has_joined_goes_on_in_the_scope() {
    everywhere(|| {
        let others = AtomicUsize::new(0);
        let said = panic_of(|| {
            task::scope(|s| {
                s.spawn(|| panic!("on purpose"));
                s.spawn(|| others.fetch_add(1, Ordering::Relaxed));
            });
        });
        assert_eq!((said.as_str(), others.load(Ordering::Relaxed)), ("a scoped task panicked", 1));
        // Joined in `f`, by another child, or not at all.
        let joined =
            task::scope(|s| s.spawn(|| panic!("on purpose")).join().map_err(|it| words(&*it).to_owned()));
        assert_eq!(joined, Err::<(), _>(String::from("on purpose")));
        task::scope(|s| {
            let fails = s.spawn(|| panic!("on purpose"));
            s.spawn(move || assert!(fails.join().is_err()));
        });
        let said = panic_of(|| task::scope(|s| std::mem::forget(s.spawn(|| panic!("on purpose")))));
        assert_eq!(said, "a scoped task panicked");
    });
}

#[test]
fn a_panic_of_the_closure_cancels_the_children_and_goes_on_when_they_have_ended() {
    everywhere(|| {
        let ended = AtomicUsize::new(0);
        let said = panic_of(|| {
            task::scope(|s| {
                for _ in 0..3 {
                    s.spawn(|| {
                        assert_eq!(waits(), End::Cancelled);
                        ended.fetch_add(1, Ordering::Relaxed)
                    });
                }
                panic!("of its own");
            })
        });
        assert_eq!((said.as_str(), ended.into_inner()), ("of its own", 3));
    });
}

#[test]
fn a_childs_panic_cancels_the_others_once_and_those_to_come() {
    everywhere(|| {
        let (all, told) = (Mutex::new(Vec::new()), Notification::new());
        let said = panic_of(|| {
            task::scope(|s| {
                let child = || {
                    let first = waits();
                    told.post();
                    let ends = [first, waits_shortly()];
                    all.lock().unwrap().push((ends, task::is_cancelled()));
                };
                s.spawn(child);
                s.spawn(|| {
                    // One that fails because it was cancelled is no new reason.
                    told.wait();
                    assert_ne!(waits(), End::Cancelled, "this one minds");
                });
                s.spawn(|| panic!("on purpose"));
                while all.lock().unwrap().is_empty() {
                    event_channel::time::sleep(Duration::from_millis(1));
                }
                s.spawn(child);
            })
        });
        assert_eq!(said, "a scoped task panicked");
        assert_eq!(*all.lock().unwrap(), [([End::Cancelled, End::ByItself], true); 2]);
    });
}

#[test]
fn a_panic_that_was_joined_does_not_count_for_children_to_come() {
    everywhere(|| {
        task::scope(|s| {
            assert!(s.spawn(|| panic!("on purpose")).join().is_err());
            assert_eq!(s.spawn(waits_shortly).join().unwrap(), End::ByItself);
            let waiting = s.spawn(waits);
            assert!(s.spawn(|| panic!("again")).join().is_err());
            assert_eq!(waiting.join().unwrap(), End::Cancelled);
        });
    });
}

#[test]
fn a_cancel_of_who_waits_in_a_scope_is_handed_on_once_and_stays_his() {
    ec_test_support::limit(60, || {
        let (ends, after) = cancelled_when("scope: the end of 2 tasks", || {
            let ends = Mutex::new(Vec::new());
            task::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| {
                        let both = [waits(), waits_shortly()];
                        ends.lock().unwrap().push(both);
                    });
                }
            });
            (
                ends.into_inner().unwrap(),
                [(waits_shortly(), task::is_cancelled()), (waits_shortly(), task::is_cancelled())],
            )
        });
        assert_eq!(ends, [[End::Cancelled, End::ByItself]; 2]);
        assert_eq!(after, [(End::Cancelled, true), (End::ByItself, true)]);
        // Through scopes in children.
        let end = cancelled_when("recv", || {
            let end = Mutex::new(None);
            task::scope(|s| {
                s.spawn(|| task::scope(|s| drop(s.spawn(|| *end.lock().unwrap() = Some(waits())))));
            });
            end.into_inner().unwrap()
        });
        assert_eq!(end, Some(End::Cancelled));
    });
}

#[test]
fn a_cancel_that_was_delivered_in_the_closure_goes_to_the_children_when_that_returns() {
    ec_test_support::limit(60, || {
        let ends = cancelled_when("recv: ", || {
            let end = Mutex::new(None);
            let here = task::scope(|outer| {
                outer.spawn(|| *end.lock().unwrap() = Some(waits()));
                // Of a scope inside, too; and what was delivered before the scope is not of it.
                let inside = task::scope(|_| waits());
                assert_eq!(task::scope(|s| s.spawn(waits_shortly).join().unwrap()), End::ByItself);
                inside
            });
            let later = task::scope(|s| s.spawn(waits_shortly).join().unwrap());
            (here, end.into_inner().unwrap(), later)
        });
        assert_eq!(ends, (End::Cancelled, Some(End::Cancelled), End::ByItself));
    });
}

#[test]
fn a_timeout_around_a_scope_is_one_for_each_child() {
    everywhere(|| {
        let seen = Mutex::new(Vec::new());
        timeout(SHORT, || {
            task::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| {
                        let ends = [waits(), waits_shortly()];
                        seen.lock().unwrap().push((ends, task::is_cancelled()));
                    });
                }
                // One that does not look at calls.
                s.spawn(|| eventually(task::is_cancelled));
            });
            // It is the owner's still.
            assert_eq!(waits(), End::Deadline);
        });
        assert_eq!(*seen.lock().unwrap(), [([End::Deadline, End::ByItself], true); 2]);
        assert!(!task::is_cancelled());
    });
}

#[test]
fn each_timeout_around_a_scope_comes_once_to_each_child_and_those_inside_it_are_not_its() {
    everywhere(|| {
        timeout(2 * SHORT, || {
            timeout(SHORT, || {
                task::scope(|s| {
                    s.spawn(|| {
                        task::scope(|s| drop(s.spawn(|| assert_eq!([waits(), waits()], [End::Deadline; 2]))))
                    });
                });
            });
        });
        // Delivered already, or only around the spawn.
        timeout(Duration::ZERO, || {
            assert_eq!(waits(), End::Deadline);
            task::scope(|s| assert_eq!(s.spawn(waits_shortly).join().unwrap(), End::ByItself));
        });
        task::scope(|s| {
            let child = timeout(Duration::ZERO, || s.spawn(waits_shortly));
            assert_eq!(child.join().unwrap(), End::ByItself);
            assert_eq!(timeout(LONG, || s.spawn(|| timeout(SHORT, waits))).join().unwrap(), End::Deadline);
        });
    });
}

#[test]
fn a_spawn_that_fails_is_an_error_and_costs_the_scope_nothing() {
    everywhere(|| {
        let dropped = AtomicUsize::new(0);
        task::scope(|s| {
            let other = s.spawn(waits_shortly);
            let held = Counts(&dropped);
            let huge = task::Builder::new().stack_size(1 << 60);
            assert!(huge.spawn_scoped(s, || drop(held)).is_err());
            assert_eq!(dropped.load(Ordering::Relaxed), 1);
            let held = Counts(&dropped);
            let huge = task::Builder::new().stack_size(1 << 46).dedicated();
            assert!(huge.spawn_scoped(s, || drop(held)).is_err());
            assert_eq!(dropped.load(Ordering::Relaxed), 2);
            let named = task::Builder::new().name("a\0b".into());
            assert!(catch_unwind(AssertUnwindSafe(|| named.spawn_scoped(s, || ()))).is_err());
            assert_eq!(other.join().unwrap(), End::ByItself, "it is cancelled by nothing");
        });
    });
}

#[test]
fn a_hundred_thousand_children() {
    ec_test_support::limit(120, || {
        if let Some(why) = task::why_not() {
            return ec_test_support::skipped(why);
        }
        event_channel::run(|| {
            let (begun, go) = (AtomicUsize::new(0), Notification::new());
            let said = panic_of(|| {
                task::scope(|s| {
                    for at in 0..100_000 {
                        let (begun, go) = (&begun, &go);
                        s.spawn(move || {
                            begun.fetch_add(1, Ordering::Relaxed);
                            if at == 50_000 {
                                panic!("on purpose");
                            }
                            if at % 100 == 0 {
                                go.wait();
                            }
                        });
                    }
                    (0..1000).for_each(|_| go.post());
                });
            });
            assert_eq!((said.as_str(), begun.into_inner()), ("a scoped task panicked", 100_000));
        });
    });
}
