//! Code that blocks its thread in tasks: sleeps, a lock, files.

use super::servers::serve;
use crate::rt;
use common::{
    Args, Rng, StdLock, Ticks, block_report, compute, connect_after, file_plan, hogs_report, listen, ns, out,
    watchdog,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// `tasks` tasks block their thread for 50 ms again and again: what a ticking task and an echo notice of it.
pub fn block(a: &Args, workers: usize) {
    let (secs, tasks, hand) = (a.num("secs", 4), a.num("tasks", 64), a.flag("hand"));
    let listener = listen(0);
    let port = listener.local_addr().unwrap().port();
    let (ticks, began) = (Arc::new(Ticks::default()), Instant::now());
    let ticking = ticks.clone();
    let all = move || {
        drop(rt::spawn(move || serve(listener, false, 16_384)));
        drop(rt::spawn(move || {
            loop {
                let (t, d) = (Instant::now(), Duration::from_millis(1));
                rt::sleep(d);
                ticking.tick(t, d);
            }
        }));
        rt::sleep(Duration::from_millis(200));
        for _ in 0..tasks {
            drop(rt::spawn(move || {
                loop {
                    rt::blocking(hand, || std::thread::sleep(Duration::from_millis(50)));
                    rt::yield_now();
                }
            }));
        }
        rt::sleep(Duration::from_secs(1000));
        0
    };
    std::thread::spawn(move || rt::run(workers, all));
    block_report(&ticks, port, secs, began);
}

/// Four times as many tasks as workers compute for two seconds each: what a connection that is there already notices of it.
pub fn hogs(a: &Args, workers: usize) {
    let listener = listen(0);
    let port = listener.local_addr().unwrap().port();
    let begun = Arc::new(AtomicBool::new(false));
    let begin = begun.clone();
    let all = move || {
        drop(rt::spawn(move || serve(listener, false, 16_384)));
        while !begun.load(Ordering::Relaxed) {
            rt::sleep(Duration::from_millis(5));
        }
        (0..4 * workers).for_each(|_| drop(rt::spawn(|| compute(Duration::from_secs(2)))));
        rt::sleep(Duration::from_secs(1000));
        0
    };
    std::thread::spawn(move || rt::run(workers, all));
    hogs_report(port, a.num("secs", 2), || begin.store(true, Ordering::Relaxed));
}

/// Eight tasks wait for a lock by blocking, while its holder waits for the runtime.
pub fn mutex(a: &Args, workers: usize) {
    watchdog(a.num("secs", 3) as u64);
    let (io, hand) = (a.flag("io"), a.flag("hand"));
    let (lock, t, listener) = (Arc::new(StdLock::default()), Instant::now(), listen(0));
    lock.lock();
    connect_after(200, listener.local_addr().unwrap().port());
    rt::run(workers, move || {
        let held = lock.clone();
        let holder = rt::spawn(move || {
            if io {
                drop(rt::accept(&rt::listener(listener)));
            } else {
                rt::sleep(Duration::from_millis(200));
            }
            held.unlock();
        });
        let start = |_| {
            let lock = lock.clone();
            let pass = move || {
                lock.lock();
                lock.unlock();
            };
            rt::spawn(move || rt::blocking(hand, pass))
        };
        let waiters: Vec<_> = (0..8).map(start).collect();
        rt::join(holder);
        waiters.into_iter().for_each(rt::join);
        0
    });
    out(&[("finished", 1.0), ("ms", t.elapsed().as_secs_f64() * 1e3)]);
}

/// Random reads of 4 KiB from a file in the page cache.
pub fn file(a: &Args, workers: usize) {
    let (hand, (path, pages, n, tasks)) = (a.flag("hand"), file_plan(a));
    let t = rt::run(workers, move || {
        let t = Instant::now();
        let start = |i| {
            let (path, mut rng) = (path.clone(), Rng::new(i as u64));
            rt::spawn(move || {
                let file = rt::open(&path, hand);
                let mut buf = vec![0; 4096];
                for _ in 0..n / tasks {
                    rt::read_at(&file, rng.below(pages) * 4096, &mut buf);
                }
            })
        };
        let tasks: Vec<_> = (0..tasks).map(start).collect();
        tasks.into_iter().for_each(rt::join);
        ns(t)
    });
    out(&[("reads_s", n as f64 / t as f64 * 1e9)]);
}
