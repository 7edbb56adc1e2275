//! What is around a call of `run` is around what it calls: deadlines, the groups of cancel tokens, a cancel of the calling task, up to a shield.

mod net_common;
mod scope_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::{EventChannel, Request};
use event_channel::task::{self, Builder, CancelToken, check, on_thread, shield};
use event_channel::time::{sleep_cancellable, timeout};
use event_channel::{Runtime, is_cancelled, is_deadline, run};
use net_common::{each_runtime, eventually, members, until_waiting};
use scope_common::{CANCELLED_ONCE, End, LONG, SHORT, Seen, everywhere, sees, sees_nothing, waits};
use std::sync::{LazyLock, mpsc};
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
    // Where a task has stepped out.
    test(&|| on_thread(|| OTHER.run(|| on_thread(|| Runtime::current().unwrap().run(&f)))));
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

/// The task it is in, and whether that is one of the current runtime's.
fn is_a_task_of(cores: usize) -> bool {
    let (current, me) = (Runtime::current().expect("a runtime"), task::current().id());
    current.metrics().cores == cores && current.dump().tasks.iter().any(|task| task.id == me)
}

/// Where a task has stepped out what it calls is a task all the same: of the runtime that it is called by, or else of the caller's.
#[test]
fn on_a_tasks_thread_it_is_a_task_and_a_cancel_of_the_caller_goes_to_it_at_once() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        for builder in [Builder::new(), Builder::new().dedicated()] {
            let steps_out = || {
                let mine = task::current().id();
                let is_new = on_thread(|| run(|| task::current().id() != mine && is_a_task_of(2)));
                let is_there = on_thread(|| OTHER.run(|| task::current().id() != mine && is_a_task_of(1)));
                let panics = on_thread(|| {
                    let text = scope_common::panic_of(|| run(|| panic!("on purpose")));
                    text == "on purpose"
                });
                (is_new, is_there, panics)
            };
            let caller = runtime.spawn_with(builder, steps_out).unwrap();
            assert_eq!(caller.join().unwrap(), (true, true, true));
        }
        for run_there in [run::<fn() -> Seen, Seen>, |f| OTHER.run(f)] {
            let caller = runtime.spawn(move || {
                let seen = on_thread(|| run_there(sees));
                (seen, check().is_err_and(|error| is_cancelled(&error)))
            });
            eventually(|| {
                let tasks = [runtime.dump().tasks, OTHER.dump().tasks].concat();
                tasks
                    .iter()
                    .any(|task| task.waits_for.as_ref().is_some_and(|words| words.starts_with("recv")))
            });
            caller.cancel();
            assert_eq!(caller.join().unwrap(), (CANCELLED_ONCE, true));
            // The shutdown of the caller's runtime is such a cancel, too.
        }
        let (begins, begun) = mpsc::channel();
        let caller = runtime.spawn(move || {
            on_thread(|| {
                OTHER.run(|| {
                    begins.send(()).unwrap();
                    sleep_cancellable(LONG)
                })
            })
        });
        begun.recv().unwrap();
        runtime.shutdown(LONG).unwrap();
        assert!(is_cancelled(&caller.join().unwrap().unwrap_err()));
    });
}

/// In a handler of the same runtime it would hold up a worker that may be the last one.
#[test]
fn in_a_handler_it_is_just_called_but_by_another_runtime_it_is_a_task_of_that() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).max_threads(2).build().unwrap();
        let (tell, told) = mpsc::channel();
        let handler = move |_: &EventChannel, _| {
            let mine = task::current().id();
            let called = run(|| task::current().id() == mine);
            let called_by_it = Runtime::current().unwrap().run(|| task::current().id() == mine);
            let there = OTHER.run(|| task::current().id() != mine && is_a_task_of(1));
            // From there it is not a handler any more.
            let back = OTHER.run(|| run(|| is_a_task_of(1)));
            tell.send([called, called_by_it, there, back]).unwrap();
        };
        runtime.channel().post(Request::timer(Duration::ZERO).on_complete(handler)).unwrap();
        assert_eq!(told.recv().unwrap(), [true; 4]);
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
