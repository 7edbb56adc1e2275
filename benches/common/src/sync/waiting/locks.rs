//! A lock: free, and wanted by many.

use super::{begin, fair};
use crate::rt;
use common::{Args, Sections, ns, out, work};
use std::sync::Arc;
use std::time::Instant;

/// A peer's lock.
pub trait Locks: 'static {
    type Mutex<T: Send + 'static>: Send + Sync + 'static;
    fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T>;
    /// Does something while it is held.
    fn with<T: Send + 'static, R>(mutex: &Self::Mutex<T>, f: impl FnOnce(&mut T) -> R) -> R;
}

/// Runs what the command line names, if it is of a lock.
pub fn locks<L: Locks>() -> bool {
    let (a, workers) = begin();
    match (a.workload.as_str(), a.str("of", "").as_str()) {
        ("lock", _) => uncontended::<L>(a, workers),
        ("contended", _) => contended::<L>(a, workers),
        ("fair", "lock") => fair::lock::<L>(a, workers, false),
        ("fair", "held") => fair::lock::<L>(a, workers, true),
        _ => return false,
    }
    true
}

/// One task locks and unlocks; nobody else wants it.
fn uncontended<L: Locks>(a: &Args, workers: usize) {
    let n = a.num("n", 20_000_000);
    let t = rt::run(workers, move || {
        let mutex = L::mutex(0u64);
        let t = Instant::now();
        for _ in 0..n {
            L::with(&mutex, |value| *value += 1);
        }
        let t = ns(t);
        assert_eq!(L::with(&mutex, |value| *value), n as u64);
        t
    });
    out(&[("ns", t as f64 / n as f64)]);
}

/// Some tasks, short sections: the time of all by their number.
fn contended<L: Locks>(a: &Args, workers: usize) {
    let Sections { each, tasks, inside, outside } = Sections::of(a);
    let t = rt::run(workers, move || {
        let mutex = Arc::new(L::mutex(0u64));
        let t = Instant::now();
        let start = |_| {
            let mutex = mutex.clone();
            rt::spawn(move || {
                for _ in 0..each {
                    L::with(&mutex, |value| {
                        *value += 1;
                        work(inside);
                    });
                    work(outside);
                }
            })
        };
        let all: Vec<_> = (0..tasks).map(start).collect();
        all.into_iter().for_each(rt::join);
        let t = ns(t);
        assert_eq!(L::with(&mutex, |value| *value), (each * tasks) as u64);
        t
    });
    out(&[("ns", t as f64 / (each * tasks) as f64)]);
}
