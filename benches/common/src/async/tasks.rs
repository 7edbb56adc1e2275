//! Tasks that only switch, start and end.

use super::crowd::Crowd;
use super::slowest;
use crate::rt;
use common::{Args, alternates, alternations, ns, out, yield_self};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// `n` yields of each of `tasks`: a round in which they are woken and yield, less one in which they are only
/// woken: the mean of one before and one after.
pub fn switch(a: &Args, workers: usize) {
    let (n, tasks) = (a.num("n", 500_000), a.num("tasks", 2 * workers));
    let (raw, check) = (a.flag("raw"), a.flag("check"));
    let t = slowest(rt::run(workers, move |_, shards| async move {
        let mine = tasks / shards;
        let mut crowd = Crowd::new(mine);
        for i in 0..mine {
            let mut seat = crowd.seat();
            rt::detach(rt::spawn(async move {
                while let Some(n) = seat.called().await {
                    for _ in 0..n {
                        if raw {
                            yield_self().await;
                        } else {
                            rt::yield_now().await;
                        }
                        if check {
                            alternates(i);
                        }
                    }
                    seat.ran().await;
                }
            }));
        }
        crowd.call(0).await;
        let before = crowd.call(0).await;
        let t = crowd.call(n as u64).await;
        let woken = (before + crowd.call(0).await) / 2;
        crowd.end().await;
        t.saturating_sub(woken)
    }));
    let yields = (n * tasks) as f64;
    if check { out(&[("alternated", alternations() as f64 / yields)]) } else { out(&[("ns", t / yields)]) }
}

/// Starting and joining tasks that do nothing, a thousand at a time.
pub fn spawn(a: &Args, workers: usize) {
    let n = a.num("n", 1_000_000);
    let t = slowest(rt::run(workers, move |_, shards| async move {
        let t = Instant::now();
        for _ in 0..n / 1000 / shards {
            let tasks: Vec<_> = (0..1000).map(|_| rt::spawn(async {})).collect();
            for task in tasks {
                rt::join(task).await;
            }
        }
        ns(t)
    }));
    out(&[("ns", t / n as f64)]);
}

/// A number goes from one task to another and back, `n` times; with shards, the two are in the first and the last.
pub fn pingpong(a: &Args, workers: usize) {
    let n = a.num("n", 200_000) as u64;
    let ((to, from_first), (back, from_second)) = (rt::chan(), rt::chan());
    let ends = Arc::new(Mutex::new((Some((to, from_second)), Some((back, from_first)))));
    let t = slowest(rt::run(workers, move |shard, shards| {
        let ends = ends.clone();
        async move {
            let t = Instant::now();
            let (first, second) = {
                let mut ends = ends.lock().unwrap();
                (ends.0.take_if(|_| shard == 0), ends.1.take_if(|_| shard == shards - 1))
            };
            let first = first.map(|(tx, mut rx)| {
                rt::spawn(async move {
                    for i in 0..n {
                        rt::send(&tx, i).await;
                        assert_eq!(rt::recv(&mut rx).await, i);
                    }
                })
            });
            let second = second.map(|(tx, mut rx)| {
                rt::spawn(async move {
                    for _ in 0..n {
                        let v = rt::recv(&mut rx).await;
                        rt::send(&tx, v).await;
                    }
                })
            });
            for task in [first, second].into_iter().flatten() {
                rt::join(task).await;
            }
            ns(t)
        }
    }));
    out(&[("ns", t / n as f64)]);
}

fn tree(num: u64, size: u64) -> rt::BoxFut {
    Box::pin(async move {
        if size == 1 {
            return num;
        }
        let step = size / 10;
        let tasks: Vec<_> = (0..10).map(|i| rt::spawn(tree(num + i * step, step))).collect();
        let mut sum = 0;
        for task in tasks {
            sum += rt::join(task).await;
        }
        sum
    })
}

/// A tree of tasks, ten below each, with a million leaves that are summed up.
pub fn skynet(workers: usize) {
    let total = Arc::new(AtomicU64::new(0));
    let sum = total.clone();
    let t = slowest(rt::run(workers, move |shard, shards| {
        let sum = sum.clone();
        async move {
            let t = Instant::now();
            let mine = (0..10).filter(|i| i % shards == shard);
            let tasks: Vec<_> = mine.map(|i| rt::spawn(tree(i as u64 * 100_000, 100_000))).collect();
            for task in tasks {
                sum.fetch_add(rt::join(task).await, SeqCst);
            }
            ns(t)
        }
    }));
    assert_eq!(total.load(SeqCst), 499_999_500_000);
    out(&[("ms", t / 1e6)]);
}
