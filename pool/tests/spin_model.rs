//! The spin lock, model-checked by loom against the production source.
//!
//! Two who are inside at once, or one who does not see what the other has done, loom reports by itself.
#![cfg(loom)]

// The file under test is the one the pool is built from; loom brings its primitives.
#[path = "../src/sync/spin.rs"]
mod spin;

#[allow(dead_code)]
mod model;

mod sync {
    pub(crate) use crate::model::Crossing;
    pub(crate) use loom::cell::{MutPtr, UnsafeCell};
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};

    pub(crate) fn snooze(_: &mut u32) {
        loom::thread::yield_now();
    }
}

use ec_test_support::limit;
use loom::sync::Arc;
use loom::thread;
use spin::SpinLock;

#[test]
fn one_is_inside_at_a_time_and_sees_what_was_done_before() {
    limit(120, || {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let lock = Arc::new(SpinLock::new(0));
            let other = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            *lock.lock() += 1;
            other.join().unwrap();
            assert_eq!(*lock.lock(), 2);
        });
    });
}
