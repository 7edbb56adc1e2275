//! What cancels the owner of a [`task::scope`] cancels its children at once, whatever the owner is doing in the closure, and theirs, to any
//! depth.

mod net_common;
mod scope_common;

use corosensei::{Coroutine, CoroutineResult, Yielder};
use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::Notification;
use event_channel::task::{self, Builder, JoinHandle, check, shield};
use event_channel::time::sleep_cancellable;
use event_channel::{Runtime, is_cancelled};
use net_common::{Numbers, each_runtime, eventually, waiting};
use scope_common::{CANCELLED_ONCE, End, LONG, Seen, panic_of, sees, sees_nothing, waits_shortly};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

fn assert_cancelled_once() {
    let error = check().expect_err("cancelled");
    assert!(is_cancelled(&error), "{error}");
    check().expect("once");
}

/// Runs `test` with each runtime, and a task in it that is its own, and one that is a thread.
fn each_owner<T: Send + 'static>(
    body: impl Fn() -> T + Clone + Send + 'static,
    test: impl Fn(&Runtime, JoinHandle<T>),
) {
    limit(60, || {
        each_runtime(|runtime| {
            for builder in [Builder::new(), Builder::new().dedicated()] {
                test(runtime, runtime.spawn_with(builder, body.clone()).unwrap());
            }
        });
    });
}

fn until_so_many_receive(runtime: &Runtime, count: usize) {
    eventually(|| waiting(runtime, "recv") == count);
}

#[test]
fn an_owner_that_joins_in_the_closure() {
    let body = || {
        let seen = task::scope(|s| [s.spawn(sees), s.spawn(sees)].map(|child| child.join().unwrap()));
        assert_cancelled_once();
        seen
    };
    each_owner(body, |runtime, owner| {
        until_so_many_receive(runtime, 2);
        owner.cancel();
        assert_eq!(owner.join().unwrap(), [CANCELLED_ONCE; 2]);
    });
}

#[test]
fn an_owner_that_computes_or_blocks_its_thread_in_the_closure() {
    type Wait = fn(&AtomicBool, mpsc::Receiver<()>);
    let waits: [Wait; 2] = [
        |ended, _| {
            while !ended.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
        },
        |_, told| told.recv().unwrap(),
    ];
    for wait in waits {
        let body = move || {
            let (ended, (tell, told)) = (AtomicBool::new(false), mpsc::channel());
            let seen = task::scope(|s| {
                let child = s.spawn(|| {
                    let seen = sees();
                    ended.store(true, Ordering::Release);
                    // (One owner does not wait for it.)
                    let _ = tell.send(());
                    seen
                });
                wait(&ended, told);
                child.join().unwrap()
            });
            assert_cancelled_once();
            seen
        };
        each_owner(body, |runtime, owner| {
            until_so_many_receive(runtime, 1);
            owner.cancel();
            assert_eq!(owner.join().unwrap(), CANCELLED_ONCE);
        });
    }
}

#[test]
fn an_owner_that_has_called_out_onto_its_thread() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    let body = || {
        let seen = task::on_thread(|| {
            let begins = || (BEGUN.fetch_add(1, Ordering::Release), sees()).1;
            let run = || event_channel::run(|| task::scope(|s| s.spawn(begins).join().unwrap()));
            let seen = task::scope(|s| [s.spawn(begins), s.spawn(run)].map(|child| child.join().unwrap()));
            assert_cancelled_once();
            seen
        });
        assert!(check().is_ok() && task::is_cancelled());
        seen
    };
    each_owner(body, |_, owner| {
        eventually(|| BEGUN.load(Ordering::Acquire) == 2);
        BEGUN.store(0, Ordering::Relaxed);
        owner.cancel();
        assert_eq!(owner.join().unwrap(), [CANCELLED_ONCE; 2]);
    });
}

#[test]
fn an_owner_to_which_it_is_delivered_in_the_closure_and_that_joins_then() {
    let body = || {
        let ended = task::scope(|s| {
            let child = s.spawn(sees);
            let own = sleep_cancellable(LONG).unwrap_err();
            // Those that begin later begin cancelled.
            (is_cancelled(&own), child.join().unwrap(), s.spawn(sees).join().unwrap())
        });
        check().expect("once");
        ended
    };
    each_owner(body, |runtime, owner| {
        until_so_many_receive(runtime, 1);
        owner.cancel();
        assert_eq!(owner.join().unwrap(), (true, CANCELLED_ONCE, CANCELLED_ONCE));
    });
}

/// So many scopes in each other, each in a child of the one before, that joins its own. Gives what the last child has got.
fn nested(depth: u32) -> Seen {
    match depth {
        0 => sees(),
        _ => task::scope(|s| s.spawn(move || nested(depth - 1)).join().unwrap()),
    }
}

#[test]
fn an_owner_that_is_itself_a_child() {
    // By the scope, by a sibling's panic, and by a handle.
    let by_scope = || {
        task::scope(|s| {
            let child = s.spawn(|| nested(3));
            (task::park(), s.cancel(), child.join().unwrap()).2
        })
    };
    let by_panic = || {
        let seen = std::sync::Mutex::new(None);
        let said = panic_of(|| {
            task::scope(|s| {
                s.spawn(|| *seen.lock().unwrap() = Some(nested(3)));
                task::park();
                s.spawn(|| panic!("on purpose"));
            });
        });
        assert_eq!(said, "a scoped task panicked");
        seen.into_inner().unwrap().unwrap()
    };
    let by_handle = || {
        task::scope(|s| {
            let child = s.spawn(|| nested(3));
            (task::park(), child.cancel(), child.join().unwrap()).2
        })
    };
    for body in [by_scope, by_panic, by_handle] {
        each_owner(body, |runtime, owner| {
            until_so_many_receive(runtime, 1);
            owner.task().unpark();
            assert_eq!(owner.join().unwrap(), CANCELLED_ONCE);
        });
    }
}

#[test]
fn what_was_delivered_before_a_scope_is_not_its_childrens_and_what_comes_later_is() {
    let body = || {
        let again = Notification::new();
        let ended = task::scope(|outer| {
            let child = outer.spawn(|| (sees(), again.wait(), sees_once_more()));
            assert!(sleep_cancellable(LONG).is_err());
            let inner = task::scope(|s| {
                assert!(s.spawn(sees_nothing).join().unwrap());
                let parks = || task::park_cancellable().is_err() && check().is_ok();
                let inner = s.spawn(parks).join().unwrap();
                again.post();
                inner
            });
            let (first, (), second) = child.join().unwrap();
            (first, second, inner)
        });
        assert_cancelled_once();
        ended
    };
    each_owner(body, |runtime, owner| {
        until_so_many_receive(runtime, 1);
        owner.cancel();
        // The first has had its own, and the second's child waits for one.
        eventually(|| waiting(runtime, "notification") == 1 && waiting(runtime, "park") == 1);
        owner.cancel();
        assert_eq!(owner.join().unwrap(), (CANCELLED_ONCE, true, true));
    });
}

/// One that was cancelled before, and is not again.
fn sees_once_more() -> bool {
    (waits_shortly(), check().is_ok()) == (End::ByItself, true)
}

#[test]
fn one_that_waits_to_be_delivered_counts_and_is_the_owners_as_well() {
    let body = || {
        while !task::is_cancelled() {
            task::yield_now();
        }
        let shielded = shield(|| task::scope(|s| s.spawn(sees_nothing).join().unwrap()));
        let child = task::scope(|s| s.spawn(sees).join().unwrap());
        let run = event_channel::run(sees);
        assert_cancelled_once();
        (shielded, child, run, task::scope(|s| s.spawn(sees_nothing).join().unwrap()))
    };
    each_owner(body, |_, owner| {
        owner.cancel();
        assert_eq!(owner.join().unwrap(), (true, CANCELLED_ONCE, CANCELLED_ONCE, true));
    });
}

/// How often it is stopped, until that is over.
fn counts(stops: &AtomicU32, is_over: &AtomicBool) {
    loop {
        let is_last = is_over.load(Ordering::Acquire);
        stops.fetch_add(u32::from(check().is_err()), Ordering::Relaxed);
        if is_last {
            return;
        }
        task::yield_now();
    }
}

/// Those that are cancelled since one has panicked are not again with the scope or its owner, whether somebody has seen the panic or not. Who
/// came after it was seen is, then.
#[test]
fn who_was_cancelled_for_anothers_panic_is_not_again() {
    for (seen, by_scope) in [(false, false), (true, false), (false, true), (true, true)] {
        let ready = Arc::new(AtomicBool::new(false));
        let theirs = ready.clone();
        let body = move || {
            let (early, late, is_over) = (AtomicU32::new(0), AtomicU32::new(0), AtomicBool::new(false));
            let scope = catch_unwind(AssertUnwindSafe(|| {
                task::scope(|s| {
                    s.spawn(|| counts(&early, &is_over));
                    let panics = s.spawn(|| std::panic::resume_unwind(Box::new("on purpose")));
                    let until = |it: &dyn Fn() -> bool| (0..).find(|_| it() || (task::yield_now(), false).1);
                    until(&|| early.load(Ordering::Relaxed) == 1);
                    if seen {
                        assert!(panics.join().is_err());
                    }
                    s.spawn(|| counts(&late, &is_over));
                    theirs.store(true, Ordering::Release);
                    if by_scope {
                        s.cancel();
                    } else {
                        until(&task::is_cancelled);
                    }
                    until(&|| late.load(Ordering::Relaxed) == 1);
                    is_over.store(true, Ordering::Release);
                });
            }));
            (scope.is_ok(), early.into_inner(), late.into_inner())
        };
        each_owner(body, |_, owner| {
            if !by_scope {
                eventually(|| ready.swap(false, Ordering::Acquire));
                owner.cancel();
            }
            assert_eq!(owner.join().unwrap(), (seen, 1, 1), "seen: {seen}, by scope: {by_scope}");
        });
    }
}

#[test]
fn a_childs_own_shield_keeps_it_off_the_children_of_the_child() {
    let body = || {
        let go = Notification::new();
        let ended = task::scope(|s| {
            let child = s.spawn(|| {
                let inside = shield(|| {
                    task::scope(|s| {
                        let grandchild = s.spawn(|| (go.wait(), sees_nothing()).1);
                        grandchild.join().unwrap()
                    })
                });
                (inside, check().is_err())
            });
            task::park();
            s.cancel();
            go.post();
            child.join().unwrap()
        });
        check().expect("it is not the owner's");
        ended
    };
    each_owner(body, |runtime, owner| {
        eventually(|| waiting(runtime, "notification") == 1);
        owner.task().unpark();
        assert_eq!(owner.join().unwrap(), (true, true));
    });
}

#[test]
fn the_shutdown_of_its_runtime_reaches_the_children_in_another_one() {
    limit(60, || {
        each_runtime(|theirs| {
            let (own, begun) = (Runtime::builder().cores(1).build().unwrap(), AtomicBool::new(false));
            let (run, begins) = (&own, &begun);
            thread::scope(|threads| {
                let owner = threads.spawn(move || {
                    run.run(|| {
                        let sees = || (begins.store(true, Ordering::Release), sees()).1;
                        let seen = task::scope(|s| theirs.run(|| s.spawn(sees)).join().unwrap());
                        (seen, check().is_err(), check().is_err())
                    })
                });
                eventually(|| begun.load(Ordering::Acquire));
                own.shutdown(LONG).unwrap();
                assert_eq!(owner.join().unwrap(), (CANCELLED_ONCE, true, true));
            });
        });
    });
}

#[test]
fn scopes_in_each_other_by_the_thousand_are_cancelled_on_a_small_stack() {
    limit(120, || {
        let depth = if task::migrates() { 2000 } else { 100 };
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let nested = runtime.spawn(move || nested(depth));
        // And in one task.
        fn in_one_task(depth: u32) -> usize {
            task::scope(|s| {
                let child = s.spawn(sees);
                let inside = if depth > 0 { in_one_task(depth - 1) } else { 0 };
                usize::from(child.join().unwrap() == CANCELLED_ONCE) + inside
            })
        }
        let flat = runtime.spawn(|| in_one_task(20));
        until_so_many_receive(&runtime, 22);
        let cancel = move || {
            nested.cancel();
            flat.cancel();
            (nested, flat)
        };
        let small = thread::Builder::new().stack_size(64 * 1024).spawn(cancel).unwrap();
        let (nested, flat) = small.join().unwrap();
        assert_eq!((nested.join().unwrap(), flat.join().unwrap()), (CANCELLED_ONCE, 21));
    });
}

/// Coroutines begin and end in any order, and so do scopes in them.
#[test]
fn scopes_in_coroutines_that_end_in_any_order() {
    let body = || {
        let shared = Arc::new((AtomicUsize::new(0), Notification::new()));
        let (all, begun) = &*shared;
        let coroutine = || {
            let shared = shared.clone();
            let mut coroutine = Coroutine::new(move |y: &Yielder<(), ()>, ()| {
                let (all, begun) = &*shared;
                task::scope(|s| {
                    let child = s.spawn(|| {
                        begun.post();
                        let error = task::park_cancellable().map_err(|error| is_cancelled(&error));
                        all.fetch_add(usize::from(error == Err(true)), Ordering::Relaxed);
                    });
                    y.suspend(());
                    child.task().unpark();
                });
            });
            assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
            coroutine
        };
        let mut coroutines: Vec<_> = (0..5).map(|_| coroutine()).collect();
        (0..5).for_each(|_| begun.wait());
        for at in [2, 0, 2] {
            let mut coroutine = coroutines.remove(at);
            assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
        }
        // One in the middle, the first and the last have ended by themselves. The others are suspended.
        assert_eq!(all.load(Ordering::Relaxed), 0);
        task::park();
        eventually(|| all.load(Ordering::Relaxed) == 2);
        drop(coroutines.pop());
        assert!(matches!(coroutines.pop().unwrap().resume(()), CoroutineResult::Return(())));
        assert_cancelled_once();
        all.load(Ordering::Relaxed)
    };
    limit(60, || {
        each_runtime(|runtime| {
            let owner = runtime.spawn(body);
            // (Its own park, and those of two children.)
            eventually(|| waiting(runtime, "park") == 3);
            owner.cancel();
            owner.task().unpark();
            assert_eq!(owner.join().unwrap(), 2);
        });
    });
}

/// In which round is who: the owner has come to it, the other one may cancel it, and has.
#[derive(Default)]
struct Rounds {
    ready: AtomicU32,
    go: AtomicU32,
    done: AtomicU32,
}

fn until(round: &AtomicU32, number: u32) {
    while round.load(Ordering::Acquire) < number {
        task::yield_now();
    }
}

/// One round: a cancel comes as a scope begins. It is the owner's before the scope, and then not the child's; or the child's as well.
fn round(rounds: &Rounds, number: u32, wait: u64) -> io::Result<()> {
    rounds.ready.store(number, Ordering::Release);
    until(&rounds.go, number);
    (0..wait).for_each(|_| std::hint::spin_loop());
    let before = check();
    let mine = task::scope(|s| {
        let child = s.spawn(|| match before {
            Ok(()) => task::park_cancellable().is_err() && check().is_ok(),
            Err(_) => {
                until(&rounds.done, number);
                check().is_ok() && !task::is_cancelled()
            }
        });
        child.join().unwrap()
    });
    assert!(mine, "the child of a scope {before:?}");
    match before {
        Ok(()) => check().map_or(Ok(()), |()| panic!("it is the owner's, too")),
        Err(_) => check(),
    }
}

#[test]
fn a_cancel_that_comes_as_a_scope_begins_is_neither_lost_nor_doubled() {
    const ROUNDS: u32 = 200;
    limit(120, || {
        for cores in [1, 2, 8] {
            let runtime = Runtime::builder().cores(cores).build().unwrap();
            let rounds = Arc::new(Rounds::default());
            let theirs = rounds.clone();
            let owner = runtime.spawn(move || {
                let mut random = Numbers(7);
                (1..=ROUNDS).for_each(|number| round(&theirs, number, random.below(400)).unwrap());
            });
            let mut random = Numbers(11);
            for number in 1..=ROUNDS {
                while rounds.ready.load(Ordering::Acquire) < number && !owner.is_finished() {
                    thread::yield_now();
                }
                rounds.go.store(number, Ordering::Release);
                (0..random.below(2000)).for_each(|_| std::hint::spin_loop());
                owner.cancel();
                rounds.done.store(number, Ordering::Release);
            }
            owner.join().unwrap();
        }
    });
}
