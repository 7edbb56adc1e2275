//! The ring of channels between tasks, model-checked by loom: what is put in comes out once, in order, unless it was refused; and nothing comes
//! in once it is closed.
#![cfg(loom)]

#[path = "../src/ring.rs"]
mod ring;

#[path = "model/sync.rs"]
#[allow(dead_code, unused_imports)] // for all models of queues
mod sync;

use loom::sync::Arc;
use loom::thread;
use ring::{Refused, Ring, Taken};

/// (By what the models of queues stand on.)
fn allocator_is_called() {}

fn model(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// A box: loom sees one that is lost, or freed twice.
type Item = Box<u32>;

fn put_in(ring: &Ring<Item>, number: u32) -> bool {
    let mut item = Box::new(number);
    loop {
        match ring.push(item) {
            Ok(_) => return true,
            Err(Refused::Closed(_)) => return false,
            Err(Refused::Full(back)) => item = back,
        }
        thread::yield_now();
    }
}

fn take_one(ring: &Ring<Item>) -> Option<u32> {
    loop {
        match ring.pop() {
            Taken::Got(item, _) => return Some(*item),
            Taken::Closed => return None,
            Taken::Nothing => thread::yield_now(),
        }
    }
}

#[test]
fn what_one_puts_in_comes_to_another_in_order() {
    for places in [1, 2] {
        model(3, move || {
            let ring = Arc::new(Ring::new(places));
            let theirs = ring.clone();
            let other = thread::spawn(move || (0..3).for_each(|n| assert!(put_in(&theirs, n))));
            assert_eq!([(); 3].map(|()| take_one(&ring)), [Some(0), Some(1), Some(2)]);
            other.join().unwrap();
            assert_eq!((ring.len(), ring.is_empty(), ring.is_full()), (0, true, false));
        });
    }
}

#[test]
fn what_two_put_in_comes_once() {
    model(3, || {
        let ring = Arc::new(Ring::new(2));
        let others = [1, 2].map(|n| {
            let ring = ring.clone();
            thread::spawn(move || assert!(put_in(&ring, n)))
        });
        let mut all = [(); 2].map(|()| take_one(&ring));
        all.sort_unstable();
        assert_eq!(all, [Some(1), Some(2)]);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

#[test]
fn two_take_out_what_is_there_once() {
    model(3, || {
        let ring = Arc::new(Ring::new(2));
        assert!(put_in(&ring, 1) && put_in(&ring, 2) && ring.is_full());
        let theirs = ring.clone();
        let other = thread::spawn(move || take_one(&theirs).unwrap());
        let sum = take_one(&ring).unwrap() + other.join().unwrap();
        assert_eq!((sum, ring.len()), (3, 0));
    });
}

/// What was put in before it is closed is taken out before it says so.
#[test]
fn nothing_comes_in_once_it_is_closed() {
    model(3, || {
        let ring = Arc::new(Ring::new(2));
        let (one, two) = (ring.clone(), ring.clone());
        let puts_in = thread::spawn(move || put_in(&one, 1));
        let closes = thread::spawn(move || assert!(two.close()));
        let taken = take_one(&ring);
        assert_eq!(puts_in.join().unwrap(), taken.is_some());
        closes.join().unwrap();
        assert!(!ring.close() && !put_in(&ring, 2));
    });
}

#[test]
fn what_nobody_takes_out_is_dropped_with_it() {
    model(3, || {
        let ring = Arc::new(Ring::new(2));
        let theirs = ring.clone();
        let other = thread::spawn(move || assert!(put_in(&theirs, 1)));
        put_in(&ring, 2);
        drop(ring);
        other.join().unwrap();
    });
}
