//! The channel's queue where the numbers of its places begin anew. (With 32 bits that is after some 2,000,000,000 events.)

// (Some is for the model of the queue, and for the channel.)
#![allow(dead_code, unused_imports)]

#[path = "../src/queue.rs"]
mod queue;
#[path = "../src/sync.rs"]
mod sync;

use ec_test_support::limit;
use ec_unkind as _;
use queue::Queue;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A block's places, and a number more; two numbers are one place's.
const NUMBERS: usize = 2 * (sync::SLOTS + 1);
/// The numbers end with the fourth lap.
const LATE: usize = usize::MAX / NUMBERS - 3;

#[test]
fn as_many_come_in_order_and_are_counted_where_the_numbers_begin_anew() {
    limit(10, || {
        for at_once in [1, 5, 31, 40, 200] {
            let queue = Queue::with_lap(LATE);
            let (mut posted, mut taken) = (0, Vec::new());
            while posted < 600 {
                let more = posted..posted + at_once;
                queue.push_all(&mut more.collect::<Vec<_>>().into_iter(), at_once);
                posted += at_once;
                assert_eq!((queue.len(), queue.is_empty()), (posted - taken.len(), false));
                // (Some stay there.)
                while queue.len() > at_once.min(3) {
                    assert!(queue.pop_all(7, |number| taken.push(number)) > 0);
                    assert_eq!(queue.len(), posted - taken.len());
                }
            }
            taken.extend(std::iter::from_fn(|| queue.pop()));
            assert!(taken.into_iter().eq(0..posted), "{at_once} at once");
            assert_eq!((queue.len(), queue.is_empty()), (0, true));
        }
    });
}

#[test]
fn all_come_once_to_some_thread_where_the_numbers_begin_anew() {
    limit(60, || {
        for _ in 0..200 {
            let (queue, sum, taken) = (Queue::with_lap(LATE), AtomicUsize::new(0), AtomicUsize::new(0));
            thread::scope(|scope| {
                for n in 0..2 {
                    let queue = &queue;
                    scope.spawn(move || {
                        for first in (n * 150..(n + 1) * 150).step_by(3) {
                            queue.push(first);
                            queue.push_all(&mut vec![first + 1, first + 2].into_iter(), 2);
                        }
                    });
                    scope.spawn(|| {
                        while taken.load(Ordering::SeqCst) < 300 {
                            let many = queue.pop_all(4, |number| _ = sum.fetch_add(number, Ordering::SeqCst));
                            taken.fetch_add(many, Ordering::SeqCst);
                            if many == 0 {
                                thread::yield_now();
                            }
                        }
                    });
                }
            });
            assert_eq!((taken.into_inner(), sum.into_inner()), (300, 300 * 299 / 2));
        }
    });
}
