//! Many timers at once.

use super::must_hold;
use crate::rt;
use common::{Args, Rng, cpu_secs, ns, out};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// `n` tasks each sleep once, up to two seconds; how late they wake. The time to start them is in
/// `over_ms`, that to start and end the runtime is not.
pub fn timers(a: &Args, workers: usize) {
    let n = a.num("n", 1_000_000);
    must_hold(n);
    let (late, worst) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (sum, most) = (late.clone(), worst.clone());
    let cpu = cpu_secs();
    let t = rt::run(workers, move || {
        let t = Instant::now();
        let mut rng = Rng::new(7);
        let start = |_| {
            let (d, late, worst) = (Duration::from_micros(rng.below(2_000_000)), sum.clone(), most.clone());
            rt::spawn(move || {
                let t = Instant::now();
                rt::sleep(d);
                let by = t.elapsed().saturating_sub(d).as_micros() as u64;
                late.fetch_add(by, Relaxed);
                worst.fetch_max(by, Relaxed);
            })
        };
        let tasks: Vec<_> = (0..n).map(start).collect();
        tasks.into_iter().for_each(rt::join);
        ns(t)
    });
    out(&[
        ("over_ms", t as f64 / 1e6 - 2000.0),
        ("cpu_s", cpu_secs() - cpu),
        ("late_mean_us", late.load(Relaxed) as f64 / n as f64),
        ("late_max_us", worst.load(Relaxed) as f64),
    ]);
}
