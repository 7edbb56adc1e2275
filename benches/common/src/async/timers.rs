//! Many timers at once.

use super::slowest;
use crate::rt;
use common::{Args, Rng, cpu_secs, ns, out};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// `n` tasks each sleep once, up to two seconds; how late they wake. The time to start them is in
/// `over_ms`, that to start and end the runtime is not.
pub fn timers(a: &Args, workers: usize) {
    let n = a.num("n", 1_000_000);
    let (late, worst) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (sum, most) = (late.clone(), worst.clone());
    let cpu = cpu_secs();
    let t = slowest(rt::run(workers, move |shard, shards| {
        let (late, worst) = (sum.clone(), most.clone());
        async move {
            let t = Instant::now();
            let mut rng = Rng::new(7 + shard as u64);
            let start = |_| {
                let (d, late, worst) =
                    (Duration::from_micros(rng.below(2_000_000)), late.clone(), worst.clone());
                rt::spawn(async move {
                    let t = Instant::now();
                    rt::sleep(d).await;
                    let by = t.elapsed().saturating_sub(d).as_micros() as u64;
                    late.fetch_add(by, Relaxed);
                    worst.fetch_max(by, Relaxed);
                })
            };
            let tasks: Vec<_> = (0..n / shards).map(start).collect();
            for task in tasks {
                rt::join(task).await;
            }
            ns(t)
        }
    }));
    out(&[
        ("over_ms", t / 1e6 - 2000.0),
        ("cpu_s", cpu_secs() - cpu),
        ("late_mean_us", late.load(Relaxed) as f64 / n as f64),
        ("late_max_us", worst.load(Relaxed) as f64),
    ]);
}
