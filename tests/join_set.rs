//! `task::JoinSet`: tasks are joined in the order of their ends.

mod net_common;
mod scope_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::future::wait_cancellable;
use event_channel::sync::{Notification, oneshot, select};
use event_channel::task::{self, JoinSet, TimedOut};
use event_channel::{Cancelled, Runtime, run, time};
use net_common::{Numbers, each_runtime, each_runtime_of, eventually, until_waiting};
use scope_common::panic_of;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);

/// Runs `test` as a task of each runtime, and on a plain thread beside it.
fn everywhere(test: impl Fn(&Runtime) + Sync) {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            test(runtime);
            runtime.run(|| test(runtime));
        });
    });
}

/// Tasks that wait for their turn, each with a number.
fn waiting(runtime: &Runtime, set: &mut JoinSet<usize>, count: usize) -> Vec<Arc<Notification>> {
    let turns: Vec<_> = (0..count).map(|_| Arc::<Notification>::default()).collect();
    for (number, turn) in turns.iter().cloned().enumerate() {
        set.add(runtime.spawn(move || {
            turn.wait();
            number
        }));
    }
    turns
}

fn has_ended(set: &JoinSet<usize>, count: usize) {
    let words = format!("ended: {count} ");
    eventually(|| format!("{set:?}").contains(&words));
}

#[test]
fn they_come_in_the_order_of_their_ends() {
    everywhere(|runtime| {
        let mut set = JoinSet::new();
        let turns = waiting(runtime, &mut set, 6);
        let order = [4, 1, 5, 0, 3, 2];
        // All have ended before anybody asks; and what comes later comes behind.
        for (ended, number) in order.into_iter().enumerate().take(4) {
            turns[number].post();
            has_ended(&set, ended + 1);
        }
        let mut came: Vec<_> = (0..3).map(|_| set.join_next().unwrap().unwrap()).collect();
        assert_eq!(set.len(), 3);
        turns[order[4]].post();
        has_ended(&set, 2);
        came.push(set.try_join_next().unwrap().unwrap());
        came.push(set.join_next().unwrap().unwrap());
        assert!(set.try_join_next().is_none() && set.len() == 1);
        turns[order[5]].post();
        came.push(set.join_next().unwrap().unwrap());
        assert_eq!(came, order);
        assert!(set.is_empty() && set.join_next().is_none() && set.try_join_next().is_none());
    });
}

#[test]
fn who_waits_is_told_of_each_end() {
    everywhere(|runtime| {
        let mut set = JoinSet::new();
        for number in 0..200usize {
            set.add(runtime.spawn(move || {
                if number.is_multiple_of(3) {
                    time::sleep(Duration::from_micros(100));
                }
                number
            }));
        }
        let mut seen = vec![false; 200];
        while let Some(result) = set.join_next() {
            assert!(!std::mem::replace(&mut seen[result.unwrap()], true));
        }
        assert!(seen.into_iter().all(|seen| seen));
    });
}

/// Places are used again: what comes and goes does not add up, and ids are those of the tasks.
#[test]
fn one_goes_and_another_comes() {
    everywhere(|runtime| {
        let mut set = JoinSet::new();
        let mut running = std::collections::HashMap::new();
        let add = |set: &mut JoinSet<u32>, number| {
            let task = runtime.spawn(move || number);
            let id = task.task().id();
            set.add(task);
            (id, number)
        };
        running.extend((0..8).map(|number| add(&mut set, number)));
        for number in 8..200 {
            let (id, result) = set.join_next_with_id().unwrap();
            assert_eq!(running.remove(&id), Some(result.unwrap()));
            running.extend([add(&mut set, number)]);
            assert_eq!(set.len(), 8);
        }
    });
}

#[test]
fn a_panic_is_the_error_of_its_task() {
    everywhere(|runtime| {
        let mut set = JoinSet::new();
        set.add(runtime.spawn(|| panic!("on purpose")));
        has_panicked(set.join_next().unwrap());
        set.add(runtime.spawn(|| ()));
        assert!(set.join_next().unwrap().is_ok());
    });
}

fn has_panicked(result: thread::Result<()>) {
    assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
}

#[test]
fn any_handle_may_be_added() {
    everywhere(|runtime| {
        let mut set = JoinSet::new();
        let ended = runtime.spawn(|| 0);
        eventually(|| ended.is_finished());
        set.add(ended);
        set.add(runtime.spawn_with(task::Builder::new().dedicated(), || 1).unwrap());
        // Of another runtime, and the default one.
        let other = Runtime::builder().cores(1).build().unwrap();
        set.add(other.spawn(|| 2));
        set.spawn(|| 3);
        // One that was waited for already.
        let turn = Arc::new(Notification::new());
        let theirs = turn.clone();
        let waits = runtime.spawn(move || {
            theirs.wait();
            4
        });
        let waits = waits.join_timeout(Duration::from_millis(1)).unwrap_err();
        set.add(waits);
        turn.post();
        let mut all: Vec<_> = std::iter::from_fn(|| set.join_next()).map(Result::unwrap).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
    });
}

/// As one that joins itself: it would wait for its own end.
#[test]
fn a_task_does_not_wait_for_the_set_that_it_is_in() {
    type Waits = fn(&mut JoinSet<()>);
    let waits: [Waits; 6] = [
        |set| drop(set.join_next()),
        |set| drop(set.join_next_with_id()),
        |set| drop(set.join_next_cancellable()),
        |set| drop(set.join_next_timeout(SHORT)),
        |set| _ = select! { join_next(set) -> _ => (), sleep(SHORT) => () },
        |set| _ = select! { join_next(set) -> _ => (), default => () },
    ];
    everywhere(|runtime| {
        for (waits, also) in waits.into_iter().flat_map(|waits| [(waits, false), (waits, true)]) {
            let (give, given) = oneshot::channel::<JoinSet<()>>();
            let (tell, told) = oneshot::channel();
            let mut set = JoinSet::new();
            set.add(runtime.spawn(move || {
                let mut set: JoinSet<()> = given.recv().unwrap();
                let words = panic_of(|| waits(&mut set));
                // What waits for nobody may be asked.
                assert!(set.try_join_next().is_none() && set.len() == 1 + usize::from(also));
                tell.send(words).unwrap();
            }));
            if also {
                set.add(runtime.spawn(|| drop(task::park_cancellable())));
            }
            // (Nobody else is.)
            assert!(matches!(set.join_next_timeout(Duration::ZERO), Err(TimedOut)));
            give.send(set).unwrap();
            let words = told.recv().unwrap();
            assert_eq!(words, "a task cannot join the set that it is in: it would wait for its own end");
        }
        // One that was looked for in vain, and was put in by somebody else then.
        let (give_back, given_back) = oneshot::channel::<JoinSet<()>>();
        let (give, given) = oneshot::channel::<JoinSet<()>>();
        let (tell, told) = oneshot::channel();
        let late = runtime.spawn(move || {
            let mut set = JoinSet::new();
            assert!(set.join_next().is_none());
            give_back.send(set).unwrap();
            let mut set = given.recv().unwrap();
            tell.send(panic_of(|| set.join_next())).unwrap();
        });
        let mut set = given_back.recv().unwrap();
        set.add(late);
        give.send(set).unwrap();
        assert!(told.recv().unwrap().contains("it is in"));
    });
}

#[test]
fn a_wait_with_a_limit_ends_with_it_and_takes_nothing() {
    everywhere(|runtime| {
        let mut set = JoinSet::new();
        assert!(matches!(set.join_next_timeout(Duration::ZERO), Ok(None)));
        let turns = waiting(runtime, &mut set, 1);
        assert_eq!(set.join_next_timeout(Duration::ZERO).unwrap_err(), TimedOut);
        assert_eq!(set.join_next_timeout(Duration::from_millis(2)).unwrap_err(), TimedOut);
        assert_eq!(set.len(), 1);
        turns[0].post();
        assert_eq!(set.join_next_timeout(Duration::MAX).unwrap().unwrap().unwrap(), 0);
    });
}

/// Not even at the moment at which both come.
#[test]
fn no_end_is_lost_between_limits() {
    limit(60, || {
        each_runtime(|runtime| {
            let test = || {
                let mut set = JoinSet::new();
                let mut random = Numbers(7);
                for round in 0..100usize {
                    let pause = Duration::from_micros(random.below(200));
                    set.add(runtime.spawn(move || {
                        time::sleep(pause);
                        round
                    }));
                    let span = Duration::from_micros(random.below(200));
                    let mut result = set.join_next_timeout(span);
                    if result.is_err() {
                        result = Ok(set.join_next());
                    }
                    assert_eq!(result.unwrap().unwrap().unwrap(), round);
                }
            };
            test();
            runtime.run(test);
        });
    });
}

#[test]
fn a_cancel_ends_the_wait_once_and_an_end_comes_before_it() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let mut set = JoinSet::new();
            let turns = waiting(runtime, &mut set, 1);
            let waits = runtime.spawn(move || {
                let error = set.join_next_cancellable().unwrap_err();
                assert!(Cancelled::is(&error), "{error}");
                let joined = set.join_next_cancellable();
                assert_eq!(joined.unwrap().unwrap().unwrap(), 0);
                // One that has ended comes first, and the cancel is left for the next point.
                set.spawn(|| 1);
                has_ended(&set, 1);
                task::current().unpark();
                set
            });
            until_waiting(runtime, "join_next: the end of one of 1 tasks");
            waits.cancel();
            until_waiting(runtime, "join_next: the end of one of 1 tasks");
            turns[0].post();
            assert_eq!(waits.join().unwrap().len(), 1);

            let both = runtime.spawn(|| {
                let mut set = JoinSet::new();
                set.spawn(|| 7);
                has_ended(&set, 1);
                eventually(task::is_cancelled);
                assert_eq!(set.join_next_cancellable().unwrap().unwrap().unwrap(), 7);
                set.spawn(|| usize::from(wait_for_cancel()));
                assert!(Cancelled::is(&set.join_next_cancellable().unwrap_err()));
            });
            both.cancel();
            both.join().unwrap();
        });
    });
}

#[test]
fn a_surrounding_timeout_ends_the_wait_of_tasks_and_threads() {
    everywhere(|runtime| {
        let mut set = JoinSet::new();
        let turns = waiting(runtime, &mut set, 1);
        time::timeout(Duration::from_millis(2), || {
            let error = set.join_next_cancellable().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            turns[0].post();
            assert!(set.join_next_cancellable().unwrap().is_some(), "it was delivered");
        });
        // And what is no point takes no notice.
        let turns = waiting(runtime, &mut set, 1);
        time::timeout(Duration::ZERO, || {
            assert!(set.join_next_timeout(Duration::from_millis(2)).is_err());
            turns[0].post();
            assert!(set.join_next().is_some());
        });
    });
}

#[test]
fn a_set_that_is_dropped_cancels_and_detaches() {
    everywhere(|runtime| {
        let (cancelled, others) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let start = |set: &mut JoinSet<()>, counts: &Arc<AtomicUsize>| {
            let counts = counts.clone();
            set.add(runtime.spawn(move || {
                if task::is_cancelled() || wait_for_cancel() {
                    counts.fetch_add(1, Ordering::SeqCst);
                }
            }));
        };
        let mut set = JoinSet::new();
        (0..3).for_each(|_| start(&mut set, &others));
        set.add(runtime.spawn(|| ()));
        eventually(|| format!("{set:?}").contains("ended: 1 "));
        set.detach_all();
        assert!(set.is_empty() && set.try_join_next().is_none() && set.join_next().is_none());
        // It is as good as new.
        (0..3).for_each(|_| start(&mut set, &cancelled));
        set.add(runtime.spawn(|| ()));
        assert!(set.join_next().is_some());
        drop(set);
        eventually(|| cancelled.load(Ordering::SeqCst) == 3);
        assert_eq!(others.load(Ordering::SeqCst), 0);

        let mut set = JoinSet::new();
        (0..3).for_each(|_| start(&mut set, &cancelled));
        set.cancel_all();
        assert_eq!(std::iter::from_fn(|| set.join_next()).count(), 3);
        assert_eq!(cancelled.load(Ordering::SeqCst), 6);
    });
}

/// True: it was cancelled. False: after a while.
fn wait_for_cancel() -> bool {
    let never = || wait_cancellable(std::future::pending::<()>());
    Cancelled::is(&time::timeout(Duration::from_secs(20), never).unwrap_err())
}

/// One that looks at all of them for each would take hours.
#[test]
fn a_hundred_thousand_are_no_problem() {
    limit(120, || {
        let count = if task::migrates() { 100_000 } else { 500 };
        let test = move || {
            let mut set = JoinSet::new();
            for number in 0..count {
                set.spawn(move || number);
            }
            let sum: u64 = std::iter::from_fn(|| set.join_next()).map(Result::unwrap).sum();
            assert_eq!(sum, count * (count - 1) / 2);
        };
        run(test);
    });
}

/// Those that never began give an error; one that is suspended for good is waited for, as by `join`.
#[test]
fn what_a_shutdown_leaves_behind() {
    limit(60, || {
        if !task::migrates() {
            return ec_test_support::skipped("here each task is a thread of its own, and goes on");
        }
        let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
        let mut set = JoinSet::new();
        set.add(runtime.spawn(|| {
            task::park();
            0
        }));
        until_waiting(&runtime, "park");
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let holds = runtime.spawn(move || _ = held.recv());
        eventually(|| runtime.dump().to_string().contains("running"));
        for number in 1..4 {
            set.add(runtime.spawn(move || number));
        }
        let waits = thread::spawn(move || {
            let refused: Vec<_> = (0..3).map(|_| set.join_next().unwrap().unwrap_err()).collect();
            for error in refused {
                assert!(error.downcast::<&str>().unwrap().contains("abandoned before it began"));
            }
            (set.join_next_timeout(SHORT).is_err(), set.len())
        });
        assert!(runtime.shutdown(SHORT).is_err());
        assert_eq!(waits.join().unwrap(), (true, 1));
        drop(let_go);
        drop(holds);
    });
}
