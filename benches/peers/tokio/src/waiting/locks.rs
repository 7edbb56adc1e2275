//! Its lock, and its `Notify`.

use super::run;
use common::{Args, Sections, ns, out, work};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Mutex, Notify};

pub fn uncontended(a: &Args, workers: usize) {
    let n = a.num("n", 20_000_000);
    let t = run(workers, async move {
        let mutex = Mutex::new(0u64);
        let t = Instant::now();
        for _ in 0..n {
            *mutex.lock().await += 1;
        }
        let t = ns(t);
        assert_eq!(*mutex.lock().await, n as u64);
        t
    });
    out(&[("ns", t / n as f64)]);
}

pub fn contended(a: &Args, workers: usize) {
    let Sections { each, tasks, inside, outside } = Sections::of(a);
    let t = run(workers, async move {
        let mutex = Arc::new(Mutex::new(0u64));
        let t = Instant::now();
        let start = |_| {
            let mutex = mutex.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    let mut value = mutex.lock().await;
                    *value += 1;
                    work(inside);
                    drop(value);
                    work(outside);
                }
            })
        };
        let all: Vec<_> = (0..tasks).map(start).collect();
        for task in all {
            task.await.unwrap();
        }
        let t = ns(t);
        assert_eq!(*mutex.lock().await, (each * tasks) as u64);
        t
    });
    out(&[("ns", t / (each * tasks) as f64)]);
}

/// Two tasks wake each other by turns.
pub fn token(a: &Args, workers: usize) {
    let n = a.num("n", 400_000);
    let t = run(workers, async move {
        let both = Arc::new([Notify::new(), Notify::new()]);
        let t = Instant::now();
        let start = |me: usize| {
            let both = both.clone();
            tokio::spawn(async move {
                let [mine, theirs] = [&both[me], &both[1 - me]];
                if me == 0 {
                    theirs.notify_one();
                }
                for _ in 0..n - 1 {
                    mine.notified().await;
                    theirs.notify_one();
                }
                mine.notified().await;
                if me == 1 {
                    theirs.notify_one();
                }
            })
        };
        let (first, second) = (start(0), start(1));
        first.await.unwrap();
        second.await.unwrap();
        ns(t)
    });
    out(&[("ns", t / n as f64)]);
}
