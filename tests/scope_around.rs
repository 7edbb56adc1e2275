//! What a [`task::scope`] is in is each child's: deadlines, and the groups of cancel tokens, up to a shield. And the twin of `join`.

mod net_common;
mod scope_common;

use corosensei::{Coroutine, CoroutineResult, Yielder};
use ec_unkind as _;
use event_channel::sync::Notification;
use event_channel::task::{self, CancelToken, check, shield};
use event_channel::time::{sleep_cancellable, timeout};
use event_channel::{is_cancelled, is_deadline};
use net_common::{each_runtime, eventually, members, until_waiting};
use scope_common::{End, LONG, SHORT, cancelled_when, everywhere, panic_of, waits, waits_shortly};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn assert_cancelled<T>(result: std::io::Result<T>) {
    let error = result.map(drop).expect_err("cancelled");
    assert!(is_cancelled(&error), "{error}");
}

/// What a child got, and whether it says that it was cancelled.
type Seen = ([End; 2], bool);

fn sees() -> Seen {
    let ends = [waits(), waits_shortly()];
    (ends, task::is_cancelled())
}

fn sees_nothing() -> bool {
    let end = waits_shortly();
    (end, task::is_cancelled()) == (End::ByItself, false)
}

const ONCE: Seen = ([End::Cancelled, End::ByItself], true);

#[test]
fn the_group_of_a_token_around_a_scope_is_each_childs() {
    everywhere(|| {
        let token = CancelToken::new();
        // Who waits on a plain thread is not listed.
        let listed = usize::from(ec_pool::wait::in_task());
        token.enter(|| {
            task::scope(|s| {
                let dedicated = task::Builder::new().dedicated().spawn_scoped(s, sees).unwrap();
                let children =
                    [dedicated, s.spawn(sees), s.spawn(|| task::scope(|s| s.spawn(sees).join().unwrap()))];
                eventually(|| members(&token) == listed + 4);
                // (Most have come to their wait then.)
                std::thread::sleep(Duration::from_millis(1));
                token.cancel();
                children.into_iter().for_each(|child| assert_eq!(child.join().unwrap(), ONCE));
                // Who begins later is in it, too.
                assert_eq!(s.spawn(sees).join().unwrap(), ONCE);
            });
            assert_cancelled(check());
            check().expect("once");
        });
        assert!(!task::is_cancelled());
        // And leaves it.
        let token = CancelToken::new();
        token.enter(|| task::scope(|s| s.spawn(|| ()).join().unwrap()));
        assert_eq!(members(&token), 0);
    });
}

#[test]
fn a_token_wakes_the_children_that_wait_and_the_owner_has_its_own() {
    ec_test_support::limit(60, || {
        each_runtime(|runtime| {
            for kind in [task::Builder::new, || task::Builder::new().dedicated()] {
                let token = CancelToken::new();
                let owner = task::Builder::new().cancel_token(&token);
                let owner = runtime.spawn_with(owner, move || {
                    let waits = || sleep_cancellable(LONG);
                    let end = task::scope(|s| kind().spawn_scoped(s, waits).unwrap().join().unwrap());
                    assert_cancelled(end);
                    assert_cancelled(check());
                    check().expect("once");
                });
                until_waiting(runtime, "sleep");
                token.cancel();
                owner.unwrap().join().unwrap();
            }
        });
    });
}

#[test]
fn a_group_that_is_only_around_the_spawn_or_was_delivered_before_is_no_childs() {
    everywhere(|| {
        let token = CancelToken::new();
        token.cancel();
        task::scope(|s| assert!(token.enter(|| s.spawn(sees_nothing)).join().unwrap()));
        token.enter(|| {
            assert_cancelled(check());
            task::scope(|s| assert!(s.spawn(sees_nothing).join().unwrap()));
        });
        // That of a builder is for one.
        task::scope(|s| {
            let alone = task::Builder::new().cancel_token(&token).spawn_scoped(s, sees).unwrap();
            assert!(s.spawn(sees_nothing).join().unwrap());
            assert_eq!(alone.join().unwrap(), ONCE);
        });
    });
}

#[test]
fn all_that_is_around_a_scope_comes_once_to_each_child() {
    everywhere(|| {
        let (outer, inner) = (CancelToken::new(), CancelToken::new());
        outer.cancel();
        inner.cancel();
        outer.enter(|| {
            timeout(Duration::ZERO, || {
                inner.enter(|| {
                    let ends = || {
                        let errors = [(); 3].map(|()| check().unwrap_err());
                        check().expect("once each");
                        let cancels = errors.iter().filter(|error| is_cancelled(error)).count();
                        (cancels, errors.iter().filter(|error| is_deadline(error)).count())
                    };
                    let children = task::scope(|s| {
                        [s.spawn(ends), s.spawn(|| task::scope(|s| s.spawn(ends).join().unwrap()))]
                            .map(|child| child.join().unwrap())
                    });
                    assert_eq!((children, ends()), ([(2, 1); 2], (2, 1)));
                });
            });
        });
    });
}

#[test]
fn a_shield_around_a_scope_keeps_off_its_children_what_it_keeps_off_its_owner() {
    everywhere(|| {
        let (token, inner) = (CancelToken::new(), CancelToken::new());
        token.cancel();
        inner.cancel();
        timeout(Duration::ZERO, || {
            token.enter(|| {
                shield(|| {
                    task::scope(|s| assert!(s.spawn(sees_nothing).join().unwrap()));
                    // What is entered inside of it counts.
                    inner.enter(|| task::scope(|s| assert_eq!(s.spawn(sees).join().unwrap(), ONCE)));
                    let ends = timeout(SHORT, || task::scope(|s| s.spawn(sees).join().unwrap()));
                    assert_eq!(ends, ([End::Deadline, End::ByItself], true));
                    task::scope(|s| {
                        let child = s.spawn(sees);
                        s.cancel();
                        assert_eq!(child.join().unwrap(), ONCE);
                    });
                });
                // One in the closure, or in a child, is not around the scope.
                let ends = task::scope(|s| {
                    let late = shield(|| s.spawn(|| (shield(sees_nothing_delivered), check(), check())));
                    late.join().unwrap()
                });
                assert!(ends.0 && ends.1.is_err() && ends.2.is_err());
                assert!(check().is_err() && check().is_err());
                check().expect("once each");
            });
        });
    });
}

/// In a shield.
fn sees_nothing_delivered() -> bool {
    check().is_ok() && task::is_cancelled()
}

#[test]
fn a_cancel_of_who_waits_in_a_shielded_scope_is_his_and_comes_behind_the_shield() {
    ec_test_support::limit(60, || {
        each_runtime(|runtime| {
            let go = Arc::new(Notification::new());
            let theirs = go.clone();
            let owner = runtime.spawn(move || {
                let is_seen = shield(|| {
                    task::scope(|s| {
                        let child = s.spawn(|| {
                            theirs.wait();
                            sees_nothing()
                        });
                        assert!(child.join().unwrap());
                        // And while it waits in the scope.
                        let other = s.spawn(|| {
                            theirs.wait();
                            assert!(sees_nothing());
                        });
                        drop(other);
                    });
                    task::is_cancelled()
                });
                assert!(is_seen);
                assert_cancelled(check());
                check().expect("once");
            });
            until_waiting(runtime, "join");
            owner.cancel();
            go.post();
            until_waiting(runtime, "scope");
            owner.cancel();
            go.post();
            owner.join().unwrap();
        });
    });
}

#[test]
fn a_cancel_that_a_shield_in_the_closure_has_kept_off_goes_to_the_children_behind_it() {
    ec_test_support::limit(60, || {
        let (seen, later) = cancelled_when("sleep", || {
            let seen = Mutex::new(None);
            task::scope(|s| {
                s.spawn(|| *seen.lock().unwrap() = Some(sees()));
                shield(|| {
                    while !task::is_cancelled() {
                        sleep_cancellable(Duration::from_millis(1)).unwrap();
                    }
                });
            });
            (seen.into_inner().unwrap(), check())
        });
        assert_eq!(seen, Some(ONCE));
        assert_cancelled(later);
    });
}

#[test]
fn a_shutdown_reaches_the_children_of_a_shielded_scope() {
    ec_test_support::limit(60, || {
        each_runtime(|runtime| {
            let owner = runtime.spawn(|| {
                let end = shield(|| task::scope(|s| s.spawn(waits).join().unwrap()));
                // (One is told after the other.)
                assert_cancelled(sleep_cancellable(LONG));
                end
            });
            until_waiting(runtime, "recv");
            runtime.shutdown(LONG).unwrap();
            assert_eq!(owner.join().unwrap(), End::Cancelled);
        });
    });
}

/// Which of them a child is in is a matter of frames, as for its owner.
#[test]
fn a_scope_in_a_coroutine_is_in_what_is_around_it() {
    everywhere(|| {
        let [outer, inner, other] = [(); 3].map(|()| CancelToken::new());
        let mut begun = Coroutine::new(move |y: &Yielder<(), ()>, ()| {
            inner.enter(|| {
                y.suspend(());
                task::scope(|s| s.spawn(sees).join().unwrap())
            })
        });
        let mut shielded = Coroutine::new(|y: &Yielder<(), ()>, ()| {
            shield(|| {
                y.suspend(());
                task::scope(|s| s.spawn(sees_nothing).join().unwrap())
            })
        });
        assert!(matches!(begun.resume(()), CoroutineResult::Yield(())));
        assert!(matches!(shielded.resume(()), CoroutineResult::Yield(())));
        outer.cancel();
        other.cancel();
        // Neither in what a suspended one is in, nor in its shield.
        assert!(task::scope(|s| s.spawn(sees_nothing).join().unwrap()));
        other.enter(|| assert_eq!(task::scope(|s| s.spawn(sees).join().unwrap()), ONCE));
        // But in that from where it is resumed.
        let ended = outer.enter(|| begun.resume(()));
        assert!(matches!(ended, CoroutineResult::Return(ONCE)));
        assert!(matches!(outer.enter(|| shielded.resume(())), CoroutineResult::Return(true)));
    });
}

#[test]
fn a_join_that_is_cancelled_leaves_the_handle_and_one_that_sees_a_panic_claims_it() {
    everywhere(|| {
        task::scope(|s| {
            let mut child = s.spawn(|| task::park_cancellable().is_err());
            for _ in 0..2 {
                let error = timeout(SHORT, || child.join_cancellable()).unwrap_err();
                assert!(is_deadline(&error), "{error}");
            }
            child.cancel();
            assert!(child.join_cancellable().unwrap().unwrap());
            assert_eq!(panic_of(|| child.join()), "the result of a task is there once, and was taken");
            // Its panic is none of the scope's any more.
            let mut fails = s.spawn(|| panic!("on purpose"));
            assert!(fails.join_cancellable().unwrap().is_err());
            assert!(s.spawn(sees_nothing).join().unwrap());
        });
        // What nobody has seen is.
        let said = panic_of(|| {
            task::scope(|s| {
                let mut fails = s.spawn(|| {
                    task::park();
                    panic!("on purpose");
                });
                let error = timeout(Duration::ZERO, || fails.join_cancellable()).unwrap_err();
                assert!(is_deadline(&error), "{error}");
                fails.thread().unpark();
            });
        });
        assert_eq!(said, "a scoped task panicked");
    });
}

#[test]
fn a_cancel_that_a_join_has_got_goes_to_the_children_when_the_closure_returns() {
    ec_test_support::limit(60, || {
        let ended = cancelled_when("join", || {
            let seen = Mutex::new(None);
            let joined = task::scope(|s| s.spawn(|| *seen.lock().unwrap() = Some(sees())).join_cancellable());
            (joined, seen.into_inner().unwrap(), check())
        });
        assert_cancelled(ended.0);
        assert_eq!(ended.1, Some(ONCE));
        ended.2.expect("once");
    });
}
