//! Tasks that only switch, start and end.

use super::crowd::Crowd;
use super::must_hold;
use crate::rt;
use common::{Args, alternates, alternations, ns, out};
use std::time::Instant;

/// `n` yields of each of `tasks`: a round in which they are woken and yield, less one in which they are only
/// woken: the mean of one before and one after.
pub fn switch(a: &Args, workers: usize) {
    let (n, tasks, check) = (a.num("n", 500_000), a.num("tasks", 2 * workers), a.flag("check"));
    must_hold(tasks);
    let t = rt::run(workers, move || {
        let mut crowd = Crowd::new(tasks);
        for i in 0..tasks {
            let seat = crowd.seat();
            drop(rt::spawn(move || {
                while let Some(n) = seat.called() {
                    for _ in 0..n {
                        rt::yield_now();
                        if check {
                            alternates(i);
                        }
                    }
                    seat.ran();
                }
            }));
        }
        crowd.call(0);
        let before = crowd.call(0);
        let t = crowd.call(n as u64);
        let woken = (before + crowd.call(0)) / 2;
        crowd.end();
        t.saturating_sub(woken)
    });
    let yields = (n * tasks) as f64;
    if check {
        out(&[("alternated", alternations() as f64 / yields)])
    } else {
        out(&[("ns", t as f64 / yields)])
    }
}

/// Starting and joining tasks that do nothing, a thousand at a time.
pub fn spawn(a: &Args, workers: usize) {
    let n = a.num("n", 1_000_000);
    let t = rt::run(workers, move || {
        let t = Instant::now();
        for _ in 0..n / 1000 {
            let tasks: Vec<_> = (0..1000).map(|_| rt::spawn(|| ())).collect();
            tasks.into_iter().for_each(rt::join);
        }
        ns(t)
    });
    out(&[("ns", t as f64 / n as f64)]);
}

/// A number goes from one task to another and back, `n` times.
pub fn pingpong(a: &Args, workers: usize) {
    let n = a.num("n", 200_000) as u64;
    let ((to, from_first), (back, from_second)) = (rt::chan(), rt::chan());
    let t = rt::run(workers, move || {
        let t = Instant::now();
        let first = rt::spawn(move || {
            for i in 0..n {
                rt::send(&to, i);
                assert_eq!(rt::recv(&from_second), i);
            }
        });
        let second = rt::spawn(move || {
            for _ in 0..n {
                let v = rt::recv(&from_first);
                rt::send(&back, v);
            }
        });
        rt::join(first);
        rt::join(second);
        ns(t)
    });
    out(&[("ns", t as f64 / n as f64)]);
}

fn tree(num: u64, size: u64) -> u64 {
    if size == 1 {
        return num;
    }
    let step = size / 10;
    let tasks: Vec<_> = (0..10).map(|i| rt::spawn(move || tree(num + i * step, step))).collect();
    tasks.into_iter().map(rt::join).sum()
}

/// A tree of tasks, ten below each, with a million leaves that are summed up.
pub fn skynet(workers: usize) {
    must_hold(1_000_000);
    let t = rt::run(workers, || {
        let t = Instant::now();
        assert_eq!(tree(0, 1_000_000), 499_999_500_000);
        ns(t)
    });
    out(&[("ms", t as f64 / 1e6)]);
}
