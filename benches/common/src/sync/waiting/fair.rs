//! Do all get the same? 64 tasks want one thing for a second; what the one with the least has got.

use super::{Channels, Locks};
use crate::rt;
use common::{Args, over_after, report_shares, work};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Tasks, seconds, the channel's places.
fn plan(a: &Args) -> (usize, f64, usize) {
    (a.num("tasks", 64), a.real("secs", 1.0), a.num("capacity", 8))
}

/// The counts come to the caller past `rt::run`, which has room for one number.
fn counted(secs: f64, workers: usize, f: impl FnOnce() -> Vec<u64> + Send + 'static) {
    let found = Arc::new(std::sync::Mutex::new(Vec::new()));
    let place = found.clone();
    rt::run(workers, move || {
        let counts = f();
        *place.lock().unwrap() = counts;
        0
    });
    report_shares(&found.lock().unwrap(), secs);
}

/// Short sections; with `held` the holder yields in each, so that the others do wait.
pub fn lock<L: Locks>(a: &Args, workers: usize, held: bool) {
    let (tasks, secs, _) = plan(a);
    counted(secs, workers, move || {
        let (mutex, over) = (Arc::new(L::mutex(())), over_after(secs));
        let start = |_| {
            let (mutex, over) = (mutex.clone(), over.clone());
            rt::spawn(move || {
                let mut count = 0;
                while !over.load(Relaxed) {
                    L::with(&mutex, |_| {
                        count += 1;
                        work(20);
                        if held {
                            rt::yield_now();
                        }
                    });
                    work(20);
                }
                count
            })
        };
        let all: Vec<_> = (0..tasks).map(start).collect();
        all.into_iter().map(rt::join).collect()
    });
}

/// Many send, one receives.
pub fn send<C: Channels>(a: &Args, workers: usize) {
    let (tasks, secs, capacity) = plan(a);
    counted(secs, workers, move || {
        let (txs, mut rxs) = C::ends::<u64>(Some(capacity), tasks, 1);
        let over = over_after(secs);
        let rx = rxs.remove(0);
        let getting = rt::spawn(move || while C::recv(&rx).is_some() {});
        let start = |tx| {
            let over = over.clone();
            rt::spawn(move || {
                let mut count = 0;
                while !over.load(Relaxed) {
                    C::send(&tx, count);
                    count += 1;
                }
                count
            })
        };
        let all: Vec<_> = txs.into_iter().map(start).collect();
        let counts = all.into_iter().map(rt::join).collect();
        rt::join(getting);
        counts
    });
}

/// One sends, many receive.
pub fn recv<C: Channels>(a: &Args, workers: usize) {
    let (tasks, secs, capacity) = plan(a);
    counted(secs, workers, move || {
        let (mut txs, rxs) = C::ends::<u64>(Some(capacity), 1, tasks);
        let over = over_after(secs);
        let tx = txs.remove(0);
        let start = |rx| {
            rt::spawn(move || {
                let mut count = 0;
                while C::recv(&rx).is_some() {
                    count += 1;
                }
                count
            })
        };
        let all: Vec<_> = rxs.into_iter().map(start).collect();
        let putting = rt::spawn(move || {
            while !over.load(Relaxed) {
                C::send(&tx, 1);
            }
        });
        rt::join(putting);
        all.into_iter().map(rt::join).collect()
    });
}
