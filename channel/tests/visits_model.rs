//! What signal handlers look at while it may be taken away, model-checked by loom: nobody touches what has gone.
#![cfg(loom)]

#[path = "../src/visits.rs"]
mod visits;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::thread;
use visits::Visits;

/// Every schedule with up to three preemptions.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

fn none() -> Visits {
    Visits { inside: AtomicU32::new(0) }
}

/// A waiter that goes, and whose bell is closed.
#[test]
fn a_bell_is_not_rung_that_has_been_closed() {
    struct Waiter {
        visits: Visits,
        wants: AtomicBool,
        is_closed: AtomicBool,
    }
    model(|| {
        let waiter = Arc::new(Waiter {
            visits: none(),
            wants: AtomicBool::new(true),
            is_closed: AtomicBool::new(false),
        });
        let handlers: Vec<_> = (0..2)
            .map(|_| {
                let waiter = waiter.clone();
                thread::spawn(move || {
                    waiter.visits.enter();
                    if waiter.wants.load(Ordering::SeqCst) {
                        assert!(!waiter.is_closed.load(Ordering::Relaxed), "it is closed");
                    }
                    waiter.visits.leave();
                })
            })
            .collect();
        waiter.wants.store(false, Ordering::SeqCst);
        waiter.visits.until_left(thread::yield_now);
        waiter.is_closed.store(true, Ordering::Relaxed);
        handlers.into_iter().for_each(|handler| handler.join().unwrap());
    });
}

/// A handler that finds nobody who waits does what the signal does by default, while somebody comes who waits.
#[test]
fn who_waits_from_now_on_is_not_left_with_the_default() {
    const OURS: u32 = 1;
    const DEFAULT: u32 = 0;
    struct Signal {
        visits: Visits,
        waiting: AtomicU32,
        disposition: AtomicU32,
    }
    model(|| {
        let signal = Arc::new(Signal {
            visits: none(),
            waiting: AtomicU32::new(0),
            disposition: AtomicU32::new(OURS),
        });
        let theirs = signal.clone();
        let handler = thread::spawn(move || {
            theirs.visits.enter();
            if theirs.waiting.load(Ordering::SeqCst) == 0 {
                theirs.disposition.store(DEFAULT, Ordering::Relaxed);
            }
            theirs.visits.leave();
        });
        signal.waiting.store(1, Ordering::SeqCst);
        signal.visits.until_left(thread::yield_now);
        signal.disposition.store(OURS, Ordering::Relaxed);
        handler.join().unwrap();
        assert_eq!(signal.disposition.load(Ordering::Relaxed), OURS);
    });
}
