//! Tasks that yield are treated alike, whatever was spawned where.

mod common;

use common::{go, settled_pool, until};
use ec_test_support::limit;
use ec_unkind as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A task that yields until it is told to stop, and how often it has.
fn yielder(stop: &Arc<AtomicBool>) -> (Arc<AtomicU64>, impl FnOnce() + Send + 'static) {
    let (turns, stop) = (Arc::new(AtomicU64::new(0)), stop.clone());
    let counts = turns.clone();
    let body = move || {
        while !stop.load(Ordering::Relaxed) {
            ec_tasks::yield_now();
            counts.fetch_add(1, Ordering::Relaxed);
        }
    };
    (turns, body)
}

/// One has a core to itself, the others are queued on another core. None ever waits, so no worker runs dry.
#[test]
fn a_core_with_few_tasks_helps_one_with_many() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    for (cores, tasks) in [(2, 64), (cpus.clamp(2, 8), 200)] {
        limit(60, || {
            let pool = settled_pool(cores);
            let stop = Arc::new(AtomicBool::new(false));
            let (mut turns, mut handles) = (Vec::new(), Vec::new());
            for _ in 1..cores {
                let (count, body) = yielder(&stop);
                handles.push(go(&pool, body));
                until("it runs", || count.load(Ordering::Relaxed) > 0);
                turns.push(count);
            }
            let (counts, bodies): (Vec<_>, Vec<_>) = (cores..=tasks).map(|_| yielder(&stop)).unzip();
            turns.extend(counts);
            let spawns = pool.handle();
            let all = go(&pool, move || bodies.into_iter().map(|body| go(&spawns, body)).collect::<Vec<_>>());
            handles.extend(all.join().unwrap());
            std::thread::sleep(Duration::from_secs(1));
            stop.store(true, Ordering::Relaxed);
            handles.into_iter().for_each(|task| task.join().unwrap());
            let turns: Vec<u64> = turns.iter().map(|turns| turns.load(Ordering::Relaxed)).collect();
            let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
            println!("{cores} cores: {least} to {most} turns");
            assert!(most <= &(3 * least), "{cores} cores: {turns:?}");
        });
    }
}
