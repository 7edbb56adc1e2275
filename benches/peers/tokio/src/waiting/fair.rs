//! Do all get the same? 64 tasks want one thing for a second; what the one with the least has got.

use super::channels::{Bounded, Channel, Many};
use super::run;
use common::{Args, na, over_after, report_shares, work};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, yield_now};

pub fn fair(a: &Args, workers: usize) {
    let (tasks, secs, capacity) = (a.num("tasks", 64), a.real("secs", 1.0), a.num("capacity", 8));
    match a.str("of", "").as_str() {
        "lock" => counted(secs, workers, lock(tasks, secs, false)),
        "held" => counted(secs, workers, lock(tasks, secs, true)),
        "send" => counted(secs, workers, send::<Bounded>(tasks, secs, capacity)),
        "recv" => counted(secs, workers, recv::<Many>(tasks, secs, capacity)),
        _ => na("no such workload"),
    }
}

fn counted(secs: f64, workers: usize, f: impl Future<Output = Vec<u64>> + Send + 'static) {
    let found = Arc::new(std::sync::Mutex::new(Vec::new()));
    let place = found.clone();
    run(workers, async move {
        let counts = f.await;
        *place.lock().unwrap() = counts;
        0
    });
    report_shares(&found.lock().unwrap(), secs);
}

async fn all(tasks: Vec<JoinHandle<u64>>) -> Vec<u64> {
    let mut counts = Vec::new();
    for task in tasks {
        counts.push(task.await.unwrap());
    }
    counts
}

/// Short sections; with `held` the holder yields in each, so that the others do wait.
async fn lock(tasks: usize, secs: f64, held: bool) -> Vec<u64> {
    let (mutex, over) = (Arc::new(Mutex::new(())), over_after(secs));
    let start = |_| {
        let (mutex, over) = (mutex.clone(), over.clone());
        tokio::spawn(async move {
            let mut count = 0;
            while !over.load(Relaxed) {
                let guard = mutex.lock().await;
                count += 1;
                work(20);
                if held {
                    yield_now().await;
                }
                drop(guard);
                work(20);
            }
            count
        })
    };
    all((0..tasks).map(start).collect()).await
}

/// Many send, one receives.
async fn send<C: Channel>(tasks: usize, secs: f64, capacity: usize) -> Vec<u64> {
    let (tx, mut rxs) = C::ends(capacity, 1);
    let (over, mut rx) = (over_after(secs), rxs.remove(0));
    let getting = tokio::spawn(async move { while C::recv(&mut rx).await.is_some() {} });
    let start = |tx: C::Tx| {
        let over = over.clone();
        tokio::spawn(async move {
            let mut count = 0;
            while !over.load(Relaxed) {
                C::send(&tx, count).await;
                count += 1;
            }
            count
        })
    };
    let counts = all(vec![tx; tasks].into_iter().map(start).collect()).await;
    getting.await.unwrap();
    counts
}

/// One sends, many receive.
async fn recv<C: Channel>(tasks: usize, secs: f64, capacity: usize) -> Vec<u64> {
    let (tx, rxs) = C::ends(capacity, tasks);
    let over = over_after(secs);
    let start = |mut rx| {
        tokio::spawn(async move {
            let mut count = 0;
            while C::recv(&mut rx).await.is_some() {
                count += 1;
            }
            count
        })
    };
    let getting = rxs.into_iter().map(start).collect();
    let putting = tokio::spawn(async move {
        while !over.load(Relaxed) {
            C::send(&tx, 1).await;
        }
    });
    putting.await.unwrap();
    all(getting).await
}
