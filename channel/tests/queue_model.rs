//! The channel's queue, model-checked by loom: what is put in comes out once, in order, however many at a time; with blocks of two places.
#![cfg(loom)]

#[path = "../src/queue.rs"]
mod queue;

mod sync {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};

    pub(crate) const SLOTS: usize = 2;

    pub(crate) struct Backoff;

    impl Backoff {
        pub(crate) fn new() -> Self {
            Backoff
        }

        pub(crate) fn spin(&self) {
            loom::thread::yield_now();
        }

        pub(crate) fn snooze(&self) {
            loom::thread::yield_now();
        }
    }
}

use loom::sync::Arc;
use loom::thread;
use queue::Queue;

fn model(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// A box: loom sees one that is lost, or freed twice.
type Item = Box<u32>;

fn put_in(queue: &Queue<Item>, numbers: std::ops::Range<u32>) {
    let many = numbers.len();
    queue.push_all(&mut numbers.map(Box::new).collect::<Vec<_>>().into_iter(), many);
}

/// Up to `max`, if anything is there.
fn take(queue: &Queue<Item>, max: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    let many = queue.pop_all(max, |item| taken.push(*item));
    assert_eq!(many, taken.len());
    assert!(many <= max);
    taken
}

/// As many, while they come. (A load alone is not enough for loom to see that it and a step of another thread may change places.)
fn take_all(queue: &Queue<Item>, many: usize) -> Vec<u32> {
    let mut taken = take(queue, many);
    while taken.len() < many {
        thread::yield_now();
        taken.extend(take(queue, many - taken.len()));
    }
    taken
}

#[test]
fn many_that_one_puts_in_come_to_another_in_order() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        let theirs = queue.clone();
        let poster = thread::spawn(move || {
            put_in(&theirs, 0..3);
            theirs.push(Box::new(3));
        });
        assert_eq!(take_all(&queue, 4), [0, 1, 2, 3]);
        poster.join().unwrap();
        assert_eq!((queue.len(), queue.is_empty()), (0, true));
    });
}

#[test]
fn what_two_put_in_comes_once_and_in_the_order_of_each() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        let (one, other) = (queue.clone(), queue.clone());
        let one = thread::spawn(move || put_in(&one, 0..2));
        let other = thread::spawn(move || put_in(&other, 10..13));
        let mut taken = take(&queue, 2);
        one.join().unwrap();
        other.join().unwrap();
        for _ in 0..5 {
            taken.extend(take(&queue, 2));
        }
        let of = |range: std::ops::Range<u32>| taken.iter().copied().filter(move |n| range.contains(n));
        assert!(of(0..10).eq(0..2) && of(10..20).eq(10..13) && taken.len() == 5, "{taken:?}");
    });
}

/// Takes one that is there for certain.
fn take_one(queue: &Queue<Item>) -> u32 {
    *queue.pop().expect("it is there")
}

#[test]
fn a_block_is_used_again_when_both_have_emptied_it() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        put_in(&queue, 0..2);
        let theirs = queue.clone();
        let other = thread::spawn(move || take_one(&theirs));
        let mine = take_one(&queue);
        // The second block is filled, the first comes behind it (or a new one).
        put_in(&queue, 2..5);
        assert_eq!(mine + other.join().unwrap(), 1);
        assert_eq!([(); 3].map(|()| take_one(&queue)), [2, 3, 4]);
        assert!(queue.pop().is_none());
    });
}

#[test]
fn a_block_that_is_used_again_is_as_a_new_one() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        put_in(&queue, 0..2);
        assert_eq!(take(&queue, 2), [0, 1]);
        put_in(&queue, 2..4);
        assert_eq!(take(&queue, 2), [2, 3]);
        // The first block has been put in again.
        let theirs = queue.clone();
        let poster = thread::spawn(move || put_in(&theirs, 4..7));
        assert_eq!(take_all(&queue, 3), [4, 5, 6]);
        poster.join().unwrap();
    });
}

#[test]
fn two_who_take_share_what_is_there() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        put_in(&queue, 0..3);
        let theirs = queue.clone();
        let other = thread::spawn(move || take(&theirs, 2));
        let mut mine = take(&queue, 2);
        put_in(&queue, 3..6);
        mine.extend(take(&queue, 1));
        let mut all = other.join().unwrap();
        assert!(mine.is_sorted() && all.is_sorted());
        all.extend(mine);
        while !queue.is_empty() {
            all.extend(take(&queue, 4));
        }
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn what_has_been_put_in_is_found_by_whoever_is_told() {
    model(4, || {
        let queue = Arc::new(Queue::new());
        let theirs = queue.clone();
        let poster = thread::spawn(move || put_in(&theirs, 0..2));
        let (mut taken, mut seen) = (Vec::new(), 0);
        if !queue.is_empty() {
            seen = 1;
            taken = take(&queue, 1);
        }
        assert_eq!(taken.len(), seen, "it was said to be there");
        poster.join().unwrap();
        assert_eq!(queue.len() + taken.len(), 2);
        // What is left is dropped with the queue.
    });
}
