//! What is around a call of `run` is around what it calls: deadlines, the groups of cancel tokens, a cancel of the calling task, up to a shield.

mod net_common;
mod scope_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::task::{self, Builder, CancelToken, check, shield};
use event_channel::time::{sleep_cancellable, timeout};
use event_channel::{Runtime, is_cancelled, is_deadline, run};
use net_common::{each_runtime, eventually, members, until_waiting};
use scope_common::{CANCELLED_ONCE, End, LONG, SHORT, Seen, everywhere, sees, sees_nothing, waits};
use std::sync::LazyLock;
use std::time::Duration;

const OVER: Seen = ([End::Deadline, End::ByItself], true);

/// One beside all that call.
static OTHER: LazyLock<Runtime> = LazyLock::new(|| Runtime::builder().cores(1).build().unwrap());

/// `f` by each way to run.
fn each_way<T: Send>(f: impl Fn() -> T + Send + Sync, test: impl Fn(&dyn Fn() -> T)) {
    test(&|| run(&f));
    test(&|| OTHER.run(&f));
    // In each other, and by a handle.
    test(&|| run(|| OTHER.run(|| Runtime::current().unwrap().run(&f))));
}

#[test]
fn a_timeout_around_it_is_one_for_what_it_calls_and_the_callers_own_as_well() {
    everywhere(|| {
        each_way(sees, |run| {
            timeout(SHORT, || {
                assert_eq!(run(), OVER);
                assert!(is_deadline(&check().unwrap_err()));
                check().expect("once");
            });
        });
        each_way(sees_nothing, |run| {
            // Far off, delivered before, or inside of it.
            assert!(timeout(LONG, run));
            timeout(Duration::ZERO, || (assert!(check().is_err()), assert!(run())));
        });
        each_way(|| timeout(SHORT, waits), |run| assert_eq!(run(), End::Deadline));
        each_way(sees_nothing, |run| assert!(run()));
    });
}

#[test]
fn the_groups_of_tokens_around_it_are_those_of_what_it_calls() {
    everywhere(|| {
        let token = CancelToken::new();
        token.enter(|| each_way(check, |run| run().expect("not yet")));
        assert_eq!(members(&token), 0);
        token.cancel();
        token.enter(|| {
            each_way(sees, |run| assert_eq!(run(), CANCELLED_ONCE));
            assert!(is_cancelled(&check().unwrap_err()));
            // It was delivered, here.
            each_way(sees_nothing, |run| assert!(run()));
        });
        assert!(!task::is_cancelled());
    });
}

#[test]
fn a_token_wakes_what_waits_in_it() {
    limit(60, || {
        each_runtime(|runtime| {
            let token = CancelToken::new();
            let waits = || run(|| sleep_cancellable(LONG)).unwrap_err();
            let owner = runtime.spawn_with(Builder::new().cancel_token(&token), waits).unwrap();
            until_waiting(runtime, "sleep");
            eventually(|| members(&token) == 2);
            token.cancel();
            assert!(is_cancelled(&owner.join().unwrap()));
        });
    });
}

#[test]
fn a_cancel_of_the_caller_goes_to_what_it_calls_at_once_and_is_the_callers_as_well() {
    limit(60, || {
        each_runtime(|runtime| {
            for builder in [Builder::new(), Builder::new().dedicated()] {
                let calls = || {
                    let seen = Runtime::current()
                        .unwrap()
                        .run(|| task::scope(|s| s.spawn(|| run(sees)).join().unwrap()));
                    (
                        seen,
                        check().is_err_and(|error| is_cancelled(&error)),
                        check().is_ok(),
                        run(sees_nothing),
                    )
                };
                let caller = runtime.spawn_with(builder, calls).unwrap();
                until_waiting(runtime, "recv");
                caller.cancel();
                assert_eq!(caller.join().unwrap(), (CANCELLED_ONCE, true, true, true));
            }
        });
    });
}

#[test]
fn a_shield_around_it_keeps_all_of_that_off() {
    everywhere(|| {
        let token = CancelToken::new();
        token.cancel();
        timeout(Duration::ZERO, || {
            token.enter(|| {
                each_way(sees_nothing, |run| assert!(shield(run)));
                // What is entered inside of it counts.
                each_way(sees, |run| assert_eq!(shield(|| token.enter(run)), CANCELLED_ONCE));
                // A shield in what it calls is no other matter than elsewhere.
                each_way(|| shield(check).is_ok() && check().is_err(), |run| assert!(run()));
            });
        });
    });
    limit(60, || {
        each_runtime(|runtime| {
            let caller = runtime.spawn(|| {
                while !task::is_cancelled() {
                    task::yield_now();
                }
                let inside = shield(|| run(sees_nothing));
                (inside, run(sees), check().is_err())
            });
            caller.cancel();
            assert_eq!(caller.join().unwrap(), (true, CANCELLED_ONCE, true));
        });
    });
}

/// What the attributes make calls it as well.
mod entries {
    pub mod in_the_default_one {
        #[event_channel::main]
        pub fn main() {
            super::super::is_in_a_timeout();
        }
    }
    pub mod in_its_own {
        #[event_channel::main(cores = 1)]
        pub fn main() {
            super::super::is_in_a_timeout();
        }
    }
}

fn is_in_a_timeout() {
    assert!(is_deadline(&sleep_cancellable(LONG).unwrap_err()));
}

#[test]
fn what_is_around_a_main_function_is_around_its_body() {
    limit(60, || {
        timeout(SHORT, || (entries::in_the_default_one::main(), entries::in_its_own::main()));
    });
}
