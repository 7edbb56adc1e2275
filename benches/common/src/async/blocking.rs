//! Code that blocks its thread in tasks: sleeps, a lock, files.

use super::servers::serve;
use super::slowest;
use crate::rt;
use common::{
    Args, Rng, StdLock, Ticks, block_report, compute, connect_after, file_plan, hogs_report, listeners, ns,
    out, watchdog,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// `tasks` tasks block their thread for 50 ms again and again: what a ticking task and an echo notice of it.
pub fn block(a: &Args, workers: usize) {
    let (secs, tasks, hand) = (a.num("secs", 4), a.num("tasks", 64), a.flag("hand"));
    let (port, listeners) = listeners(1);
    let (ticks, began) = (Arc::new(Ticks::default()), Instant::now());
    let ticking = ticks.clone();
    let all = move |shard, shards| {
        let (ticks, listener) = (ticking.clone(), listeners.lock().unwrap()[0].take_if(|_| shard == 0));
        async move {
            if let Some(listener) = listener {
                rt::detach(rt::spawn(serve(listener, false, 16_384)));
                rt::detach(rt::spawn(async move {
                    loop {
                        let (t, d) = (Instant::now(), Duration::from_millis(1));
                        rt::sleep(d).await;
                        ticks.tick(t, d);
                    }
                }));
            }
            rt::sleep(Duration::from_millis(200)).await;
            for _ in 0..tasks / shards {
                rt::detach(rt::spawn(async move {
                    loop {
                        rt::blocking(hand, || std::thread::sleep(Duration::from_millis(50))).await;
                        rt::yield_now().await;
                    }
                }));
            }
            rt::sleep(Duration::from_secs(1000)).await;
            0
        }
    };
    std::thread::spawn(move || rt::run(workers, all));
    block_report(&ticks, port, secs, began);
}

/// Four times as many tasks as workers compute for two seconds each: what a connection that is there already notices of it.
pub fn hogs(a: &Args, workers: usize) {
    let (hand, (port, listeners)) = (a.flag("hand"), listeners(1));
    let begun = Arc::new(AtomicBool::new(false));
    let begin = begun.clone();
    let all = move |shard, shards| {
        let (begun, listener) = (begun.clone(), listeners.lock().unwrap()[0].take_if(|_| shard == 0));
        async move {
            if let Some(listener) = listener {
                rt::detach(rt::spawn(serve(listener, false, 16_384)));
            }
            while !begun.load(Ordering::Relaxed) {
                rt::sleep(Duration::from_millis(5)).await;
            }
            for _ in 0..4 * workers / shards {
                rt::detach(rt::spawn(async move {
                    rt::blocking(hand, || compute(Duration::from_secs(2))).await;
                }));
            }
            rt::sleep(Duration::from_secs(1000)).await;
            0
        }
    };
    std::thread::spawn(move || rt::run(workers, all));
    hogs_report(port, a.num("secs", 2), || begin.store(true, Ordering::Relaxed));
}

/// Eight tasks wait for a lock by blocking, while its holder waits for the runtime.
pub fn mutex(a: &Args, workers: usize) {
    watchdog(a.num("secs", 3) as u64);
    let (io, hand, (port, listeners)) = (a.flag("io"), a.flag("hand"), listeners(1));
    let (lock, t) = (Arc::new(StdLock::default()), Instant::now());
    lock.lock();
    connect_after(200, port);
    rt::run(workers, move |shard, _| {
        let (lock, listener) = (lock.clone(), listeners.lock().unwrap()[0].take_if(|_| shard == 0));
        async move {
            let holder = listener.map(|listener| {
                let held = lock.clone();
                rt::spawn(async move {
                    if io {
                        rt::accept(&rt::listener(listener)).await;
                    } else {
                        rt::sleep(Duration::from_millis(200)).await;
                    }
                    held.unlock();
                })
            });
            let start = |_| {
                let lock = lock.clone();
                let pass = move || {
                    lock.lock();
                    lock.unlock();
                };
                rt::spawn(async move { rt::blocking(hand, pass).await })
            };
            let waiters: Vec<_> = (0..8).map(start).collect();
            if let Some(task) = holder {
                rt::join(task).await;
            }
            for task in waiters {
                rt::join(task).await;
            }
            0
        }
    });
    out(&[("finished", 1.0), ("ms", t.elapsed().as_secs_f64() * 1e3)]);
}

/// Random reads of 4 KiB from a file in the page cache.
pub fn file(a: &Args, workers: usize) {
    let (hand, (path, pages, n, tasks)) = (a.flag("hand"), file_plan(a));
    let t = slowest(rt::run(workers, move |shard, shards| {
        let path = path.clone();
        async move {
            let t = Instant::now();
            let start = |i| {
                let (path, mut rng) = (path.clone(), Rng::new((shard * 1000 + i) as u64));
                rt::spawn(async move {
                    let mut file = rt::open(&path, hand).await;
                    let mut buf = Vec::with_capacity(4096);
                    for _ in 0..n / tasks {
                        buf = rt::read_at(&mut file, rng.below(pages) * 4096, buf).await;
                        assert_eq!(buf.len(), 4096);
                    }
                })
            };
            let tasks: Vec<_> = (0..tasks / shards).map(start).collect();
            for task in tasks {
                rt::join(task).await;
            }
            ns(t)
        }
    }));
    out(&[("reads_s", n as f64 / t * 1e9)]);
}
