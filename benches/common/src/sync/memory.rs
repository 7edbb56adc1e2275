//! What tasks cost in memory.

use super::must_hold;
use crate::rt;
use common::{Args, Gate, Memory, depth, out};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// `n` tasks that sleep.
pub fn idle(a: &Args, workers: usize) {
    let n = a.num("n", 100_000);
    must_hold(n);
    let before = Memory::now();
    rt::run(workers, move || {
        let (t, up) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..n {
            let up = up.clone();
            drop(rt::spawn(move || {
                up.fetch_add(1, Relaxed);
                rt::sleep(Duration::from_secs(1000));
            }));
        }
        while up.load(Relaxed) < n {
            rt::sleep(Duration::from_millis(1));
        }
        let secs = t.elapsed().as_secs_f64();
        rt::sleep(Duration::from_millis(300));
        before.report_idle(n, secs);
        std::process::exit(0)
    });
}

/// Calls itself with about 1 KiB of the stack in each frame.
#[inline(never)]
fn descend(levels: usize, bottom: &dyn Fn()) {
    let mut frame = [levels as u8; 960];
    black_box(&mut frame);
    if levels > 0 {
        descend(levels - 1, bottom)
    } else {
        bottom()
    }
    black_box(&frame);
}

/// `n` tasks hold `depth` bytes of stack each, all at once; then they end.
pub fn deep(a: &Args, workers: usize) {
    let (n, depth) = (a.num("n", 10_000), depth());
    must_hold(n);
    let before = Memory::now();
    rt::run(workers, move || {
        let (t, gate) = (Instant::now(), Arc::new(Gate::default()));
        let start = |_| {
            let (tx, rx) = rt::chan();
            let gate = gate.clone();
            let bottom = move || {
                gate.enter();
                rt::recv(&rx);
            };
            (tx, rt::spawn(move || descend(depth / 1024, &bottom)))
        };
        let (bells, tasks): (Vec<rt::Tx>, Vec<_>) = (0..n).map(start).unzip();
        while gate.inside() < n {
            rt::sleep(Duration::from_millis(1));
        }
        let (secs, peak) = (t.elapsed().as_secs_f64(), before.grown_per(n));
        bells.iter().for_each(|bell| rt::send(bell, 0));
        tasks.into_iter().for_each(rt::join);
        drop(bells);
        rt::sleep(Duration::from_secs(3));
        out(&[("peak_bytes", peak), ("after_bytes", before.grown_per(n)), ("s", secs)]);
        std::process::exit(0)
    });
}
