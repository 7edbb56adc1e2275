//! Which of the tasks that wait for a core is next: those that can go on, those that have never run, the oldest of them.

mod common;

use common::{go, settled_pool};
use ec_pool::Pool;
use ec_tasks::Task;
use ec_test_support::limit;
use ec_unkind as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// How many tasks of a tree have begun and not ended: now, and at most.
#[derive(Default)]
struct Begun {
    now: AtomicUsize,
    most: AtomicUsize,
}

fn tree(depth: u32, begun: Arc<Begun>) -> usize {
    begun.most.fetch_max(begun.now.fetch_add(1, SeqCst) + 1, SeqCst);
    let pool = ec_pool::current().unwrap();
    let mut leaves = 1;
    if depth > 0 {
        let below = |_| {
            let begun = begun.clone();
            go(&pool, move || tree(depth - 1, begun))
        };
        let children: Vec<_> = (0..10).map(below).collect();
        leaves = children.into_iter().map(|child| child.join().unwrap()).sum();
    }
    begun.now.fetch_sub(1, SeqCst);
    leaves
}

/// Of 11,111 tasks only some are begun at a time, so that few stacks are needed.
#[test]
fn a_tree_of_tasks_is_walked_in_depth() {
    limit(60, || {
        for cores in [1, 2] {
            let pool = settled_pool(cores);
            let begun = Arc::new(Begun::default());
            let of_root = begun.clone();
            assert_eq!(go(&pool, move || tree(4, of_root)).join().unwrap(), 10_000);
            let most = begun.most.load(SeqCst);
            assert!(most <= 300, "{most} tasks begun at once on {cores} cores");
        }
    });
}

/// Two tasks that wake each other in turn, so that one of them can always go on, until told to stop.
fn players(pool: &Pool, stop: &Arc<AtomicBool>) -> [ec_tasks::JoinHandle<()>; 2] {
    let others: Arc<parking_lot::Mutex<Vec<Task>>> = Arc::default();
    [0, 1].map(|me| {
        let (others, stop) = (others.clone(), stop.clone());
        go(pool, move || {
            others.lock().push(ec_tasks::current().unwrap());
            let other = loop {
                let both = others.lock().clone();
                match both.into_iter().find(|task| *task != ec_tasks::current().unwrap()) {
                    Some(other) => break other,
                    None => ec_tasks::yield_now(),
                }
            };
            if me == 0 {
                other.unpark();
            }
            while !stop.load(SeqCst) {
                ec_tasks::park();
                other.unpark();
            }
            other.unpark();
        })
    })
}

#[test]
fn those_that_can_go_on_do_not_starve_new_ones() {
    limit(30, || {
        let pool = settled_pool(1);
        let stop = Arc::new(AtomicBool::new(false));
        let playing = players(&pool, &stop);
        let inside = stop.clone();
        let starter = go(&pool, move || {
            let pool = ec_pool::current().unwrap();
            drop(go(&pool, move || inside.store(true, SeqCst)));
        });
        starter.join().unwrap();
        playing.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// A task that starts one like itself and ends, until told to stop.
fn relay(stop: Arc<AtomicBool>) {
    if !stop.load(SeqCst) {
        let pool = ec_pool::current().unwrap();
        drop(go(&pool, move || relay(stop)));
    }
}

#[test]
fn new_ones_do_not_starve_those_that_can_go_on() {
    limit(30, || {
        let pool = settled_pool(1);
        let stop = Arc::new(AtomicBool::new(false));
        let ends = stop.clone();
        let waiting = go(&pool, move || {
            ec_tasks::park();
            ends.store(true, SeqCst);
        });
        let wakes = waiting.task().clone();
        let inside = stop.clone();
        go(&pool, move || {
            relay(inside);
            wakes.unpark();
        })
        .join()
        .unwrap();
        waiting.join().unwrap();
    });
}

#[test]
fn the_latest_do_not_starve_the_oldest_new_one() {
    limit(30, || {
        let pool = settled_pool(1);
        let stop = Arc::new(AtomicBool::new(false));
        let inside = stop.clone();
        let oldest = go(&pool, move || {
            let pool = ec_pool::current().unwrap();
            let ends = inside.clone();
            let oldest = go(&pool, move || ends.store(true, SeqCst));
            relay(inside);
            oldest
        });
        oldest.join().unwrap().join().unwrap();
        assert!(stop.load(SeqCst));
    });
}
