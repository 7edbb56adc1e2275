//! A pool with nothing to do does nothing, and one unit of work wakes one worker.

mod common;

use common::{go, pool, until, until_idle};
use ec_test_support::limit;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// The numbers are the whole process's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How often each worker thread has gone to sleep in the kernel.
fn switches() -> BTreeMap<OsString, u64> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    threads
        .filter_map(|thread| {
            let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
            let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
            let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            name.starts_with("ec-worker").then(|| (thread.file_name(), count.trim().parse().unwrap()))
        })
        .collect()
}

/// A worker counts as asleep a moment before it is: waits until each has arrived in the kernel, and how often it was there by then.
fn asleep_in_the_kernel(pool: &ec_pool::PoolHandle) -> BTreeMap<OsString, u64> {
    let mut counts = BTreeMap::new();
    until("each worker sleeps in the kernel", || {
        until_idle(pool);
        let before = std::mem::replace(&mut counts, switches());
        std::thread::sleep(Duration::from_millis(1));
        before == counts && all_sleep()
    });
    counts
}

fn all_sleep() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let mut stats = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    // "pid (name) state ..."
    stats.all(|stat| !stat.contains("(ec-worker") || stat.contains(") S "))
}

/// Giving back stack memory wakes one worker a few times, and then no more.
fn until_housekeeping_is_over(pool: &ec_pool::PoolHandle) {
    until("two seconds pass without a switch", || {
        until_idle(pool);
        let before = switches();
        std::thread::sleep(Duration::from_secs(2));
        switches() == before
    });
}

#[test]
fn an_idle_pool_does_not_wake_up() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = pool(8);
        go(&pool, || ()).join().unwrap();
        until_housekeeping_is_over(&pool);
        let before = (switches(), pool.metrics().sleeps);
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!((switches(), pool.metrics().sleeps), before);
    });
}

#[test]
fn one_unpark_wakes_one_of_eight_sleepers() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let pool = pool(8);
        let task = go(&pool, || (0..200).for_each(|_| ec_tasks::park()));
        until_housekeeping_is_over(&pool);
        for round in 0..200u64 {
            until_idle(&pool);
            until("it is parked", || {
                pool.dump().tasks.iter().all(|task| task.state == ec_tasks::TaskState::Suspended)
            });
            let asleep = asleep_in_the_kernel(&pool);
            let before = pool.metrics();
            task.task().unpark();
            until("somebody has slept again", || pool.metrics().sleeps > before.sleeps);
            let now = asleep_in_the_kernel(&pool);
            let woken = now.iter().filter(|(thread, count)| asleep[*thread] != **count).count();
            assert!(woken <= 1, "round {round}: {woken} workers have left their sleep");
            assert_eq!(pool.metrics().wakeups - before.wakeups, 1, "round {round}");
        }
        task.join().unwrap();
    });
}
