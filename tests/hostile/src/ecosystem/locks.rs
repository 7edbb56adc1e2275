//! parking_lot: guards that are tied to their thread, and a parking lot that knows threads by a thread-local.

use crate::check::Check;
use crate::support::{BLOCKING, hop, many, tasks};
use event_channel::task;
use parking_lot::{Condvar, Mutex, Once, ReentrantMutex, RwLock};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("parking_lot_guards_are_held_over_hops", guards),
    Check::new("a_parking_lot_reentrant_mutex_lets_only_its_owner_in", reentrant),
    Check::new("parking_lot_waits_are_ended_by_the_right_one", contended),
    Check::new("parking_lot_condvars_wake_tasks", condvars),
];

fn guards() {
    tasks(many(1000), |me| {
        let (mutex, lock) = (Mutex::new(me), RwLock::new(vec![me]));
        for n in 0..10 {
            let mut guard = mutex.lock();
            let read = lock.read();
            hop();
            let again = lock.read_recursive();
            *guard += 1;
            assert!(mutex.is_locked() && lock.try_write().is_none());
            hop();
            assert_eq!((*guard, read.len(), again.len()), (me + n + 1, n + 1, n + 1));
            drop((guard, read, again));
            lock.write().push(n);
        }
        let once = Once::new();
        once.call_once(hop);
        assert!(once.state().done());
    });
}

fn reentrant() {
    let shared = Arc::new((ReentrantMutex::new(RefCell::new(0_usize)), AtomicUsize::new(0)));
    let n = many(100);
    let counted = shared.clone();
    tasks(n, move |_| {
        let (mutex, inside) = &*counted;
        for _ in 0..3 {
            let outer = loop {
                match mutex.try_lock() {
                    Some(guard) => break guard,
                    None => task::yield_now(),
                }
            };
            assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0, "two tasks are in");
            task::yield_now();
            assert!(mutex.is_owned_by_current_thread());
            let inner = mutex.lock();
            *inner.borrow_mut() += 1;
            task::yield_now();
            drop(inner);
            task::yield_now();
            inside.fetch_sub(1, Ordering::AcqRel);
            drop(outer);
        }
        assert!(!mutex.is_owned_by_current_thread());
    });
    assert_eq!(*shared.0.lock().borrow(), n * 3);
}

/// Real waits, each of which blocks a worker. Short critical sections, with a hop in some.
fn contended() {
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(0) };
    }
    let shared = Arc::new((Mutex::new(0_usize), RwLock::new(0_usize)));
    let counted = shared.clone();
    tasks(BLOCKING, move |me| {
        MINE.set(me);
        for n in 0..300 {
            let mut guard = counted.0.lock();
            let before = *guard;
            if n % 3 == 0 {
                hop();
            }
            *guard = before + 1;
            drop(guard);
            let read = counted.1.read();
            let seen = *read;
            task::yield_now();
            assert_eq!(*read, seen);
            drop(read);
            *counted.1.write() += 1;
            assert_eq!(MINE.get(), me);
        }
    });
    assert_eq!((*shared.0.lock(), *shared.1.read()), (300 * BLOCKING, 300 * BLOCKING));
}

fn condvars() {
    let turn = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let parties = BLOCKING;
    tasks(parties, move |me| {
        for round in 0..100 {
            let mut now = turn.0.lock();
            while *now != round * parties + me {
                turn.1.wait(&mut now);
            }
            *now += 1;
            turn.1.notify_all();
            drop(now);
            hop();
        }
    });
}
