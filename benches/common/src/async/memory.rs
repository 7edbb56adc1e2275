//! What tasks cost in memory.

use super::until;
use crate::rt;
use common::{Args, Gate, Memory, depth, out};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// `n` tasks that sleep.
pub fn idle(a: &Args, workers: usize) {
    let n = a.num("n", 100_000);
    let up = Arc::new(AtomicUsize::new(0));
    let before = Memory::now();
    rt::run(workers, move |shard, shards| {
        let up = up.clone();
        async move {
            let t = Instant::now();
            for _ in 0..n / shards {
                let up = up.clone();
                rt::detach(rt::spawn(async move {
                    up.fetch_add(1, Relaxed);
                    rt::sleep(Duration::from_secs(1000)).await;
                }));
            }
            until(|| up.load(Relaxed) >= n / shards * shards).await;
            let secs = t.elapsed().as_secs_f64();
            rt::sleep(Duration::from_millis(300)).await;
            if shard == 0 {
                before.report_idle(n, secs);
                std::process::exit(0);
            }
            rt::sleep(Duration::from_secs(1000)).await;
            0
        }
    });
}

/// Awaits itself with about 1 KiB in each future.
fn descend(levels: usize, mut bell: rt::Rx, gate: Arc<Gate>) -> rt::BoxFut {
    Box::pin(async move {
        let mut frame = [levels as u8; 960];
        black_box(&mut frame);
        let rung = if levels > 0 {
            descend(levels - 1, bell, gate).await
        } else {
            gate.enter();
            rt::recv(&mut bell).await
        };
        black_box(&frame);
        rung
    })
}

/// `n` tasks hold `depth` bytes of futures each, all at once; then they end. The first shard looks at the memory.
pub fn deep(a: &Args, workers: usize) {
    let (n, depth) = (a.num("n", 10_000), depth());
    let (inside, ended) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
    let before = Memory::now();
    rt::run(workers, move |shard, shards| {
        let (gate, ended) = (inside.clone(), ended.clone());
        async move {
            let t = Instant::now();
            let start = |_| {
                let (tx, rx) = rt::chan();
                (tx, rt::spawn(descend(depth / 1024, rx, gate.clone())))
            };
            let (bells, tasks): (Vec<rt::Tx>, Vec<_>) = (0..n / shards).map(start).unzip();
            until(|| gate.inside() >= n / shards * shards).await;
            let (secs, peak) = (t.elapsed().as_secs_f64(), before.grown_per(n));
            if shard == 0 {
                gate.open();
            }
            until(|| gate.is_open()).await;
            for bell in &bells {
                rt::send(bell, 0).await;
            }
            for task in tasks {
                rt::join(task).await;
            }
            drop(bells);
            ended.fetch_add(1, Relaxed);
            until(|| ended.load(Relaxed) == shards).await;
            rt::sleep(Duration::from_secs(3)).await;
            if shard == 0 {
                out(&[("peak_bytes", peak), ("after_bytes", before.grown_per(n)), ("s", secs)]);
                std::process::exit(0);
            }
            rt::sleep(Duration::from_secs(1000)).await;
            0
        }
    });
}
