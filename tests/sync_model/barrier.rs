//! `Barrier`.

use crate::sync::barrier::Barrier;
use crate::sync::base::face::{Sleeper, all_through};
use crate::{explore, spawn, spawn_as};
use ec_test_support::limit;
use loom::sync::Arc;

#[test]
fn all_go_on_together_and_one_of_them_leads() {
    limit(120, || {
        let ends = explore(2, || {
            let barrier = Arc::new(Barrier::new(3));
            let others = [0, 1].map(|_| {
                let barrier = barrier.clone();
                spawn(move || barrier.wait().is_leader())
            });
            let leads = usize::from(barrier.wait().is_leader());
            others.into_iter().map(|other| usize::from(other.join().unwrap())).sum::<usize>() + leads
        });
        assert_eq!(ends, [1]);
    });
}

#[test]
fn one_round_comes_after_the_other() {
    limit(120, || {
        let ends = explore(3, || {
            let barrier = Arc::new(Barrier::new(2));
            let rounds = |barrier: &Barrier| [0, 1].map(|_| usize::from(barrier.wait().is_leader()));
            let other = {
                let barrier = barrier.clone();
                spawn(move || rounds(&barrier))
            };
            let (mine, theirs) = (rounds(&barrier), other.join().unwrap());
            [mine[0] + theirs[0], mine[1] + theirs[1]]
        });
        assert_eq!(ends, [[1, 1]]);
    });
}

/// Of three that come to a barrier for two, one is cancelled: it goes on with another one, or is not counted.
#[test]
fn who_is_cancelled_is_not_counted() {
    limit(120, || {
        let ends = explore(2, || {
            let barrier = Arc::new(Barrier::new(2));
            let first = Sleeper::new();
            let gives_up = {
                let barrier = barrier.clone();
                spawn_as(&first, move || barrier.wait_cancellable().is_ok())
            };
            first.cancel();
            let other = {
                let barrier = barrier.clone();
                spawn(move || barrier.wait().is_leader())
            };
            let went = gives_up.join().unwrap();
            if went {
                other.join().unwrap();
            } else {
                assert!(barrier.wait().is_leader() != other.join().unwrap());
            }
            went
        });
        assert_eq!(ends, [false, true]);
    });
}

/// With one that was left in its wait: two more have to come, and go on.
#[test]
fn two_go_on_without_the_one_that_was_left() {
    limit(120, || {
        let ends = explore(2, || {
            let barrier = Arc::new(Barrier::new(2));
            let first = Sleeper::new();
            let is_left = {
                let barrier = barrier.clone();
                spawn_as(&first, move || barrier.wait_cancellable().is_ok())
            };
            first.until_waiting();
            first.leave();
            let other = {
                let barrier = barrier.clone();
                spawn(move || barrier.wait().is_leader())
            };
            assert!(barrier.wait().is_leader() != other.join().unwrap());
            all_through();
            // (In the model, where a thread has to end, it sees that others have gone on.)
            let _ = is_left.join().unwrap();
        });
        assert_eq!(ends, [()]);
    });
}
