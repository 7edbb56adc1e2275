//! A pool with nothing to do does nothing, and one unit of work wakes one worker. The numbers are the whole process's: each test has its own.

mod common;

use common::{go, pool, settled_pool, until, until_idle};
use ec_test_support::{in_child, went_well};
use ec_unkind as _;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often each worker thread has gone to sleep in the kernel.
fn switches() -> BTreeMap<OsString, u64> {
    switches_of("ec-worker")
}

fn switches_of(kind: &str) -> BTreeMap<OsString, u64> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    threads
        .filter_map(|thread| {
            let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
            let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
            let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            name.starts_with(kind).then(|| (thread.file_name(), count.trim().parse().unwrap()))
        })
        .collect()
}

/// A thread that sleeps for good, with the pool's workers. What wakes it as well (a stop of the process, a debugger) comes
/// from outside and says nothing about the pool.
struct Bystander {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// How often it had gone to sleep when the pool was last known to be at rest.
    calm: BTreeMap<OsString, u64>,
}

impl Bystander {
    /// When `pool` is at rest.
    fn of(pool: &ec_pool::PoolHandle) -> Bystander {
        let end = Arc::new(AtomicBool::new(false));
        let theirs = end.clone();
        let sleep = move || {
            while !theirs.load(Ordering::Relaxed) {
                thread::park();
            }
        };
        let thread = thread::Builder::new().name(String::from("bystander")).spawn(sleep).unwrap();
        until("the bystander sleeps", || switches_of("bystander").into_values().sum::<u64>() > 0);
        let calm = switches_of("bystander");
        until_housekeeping_is_over(pool);
        Bystander { end, thread: Some(thread), calm }
    }

    /// Repeats `observe` until it has nothing to object, or objects although nobody from outside interfered.
    fn watch(&mut self, pool: &ec_pool::PoolHandle, mut observe: impl FnMut() -> Result<(), String>) {
        while let Err(objection) = observe() {
            // The disturbance may reach this thread first.
            thread::sleep(Duration::from_millis(20));
            let now = switches_of("bystander");
            assert_ne!(now, self.calm, "{objection}");
            // One of those that were woken looks after the stacks again, in a while.
            until_housekeeping_is_over(pool);
            self.calm = now;
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// A worker counts as asleep a moment before it is: waits until each has arrived in the kernel, and how often it was there by then.
fn asleep_in_the_kernel(pool: &ec_pool::PoolHandle) -> BTreeMap<OsString, u64> {
    let mut counts = BTreeMap::new();
    until("each worker sleeps in the kernel", || {
        until_idle(pool);
        let before = std::mem::replace(&mut counts, switches());
        thread::sleep(Duration::from_millis(1));
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
        thread::sleep(Duration::from_secs(2));
        switches() == before
    });
}

#[test]
fn an_idle_pool_does_not_wake_up() {
    went_well(in_child("an_idle_pool_does_not_wake_up", || {
        let pool = pool(8);
        go(&pool, || ()).join().unwrap();
        Bystander::of(&pool).watch(&pool, || {
            // The monitor's too, which looks at nothing then.
            let now = || (switches_of("ec-"), pool.metrics().sleeps, pool.metrics().monitor_looks);
            let before = now();
            thread::sleep(Duration::from_millis(600));
            let after = now();
            if before == after { Ok(()) } else { Err(format!("{before:?} has become {after:?}")) }
        });
    }));
}

/// They end on threads without a core while the workers sleep.
#[test]
fn memory_of_tasks_that_have_blocked_is_returned_though_nothing_else_happens() {
    const TASKS: usize = 64;
    went_well(in_child("memory_of_tasks_that_have_blocked_is_returned_though_nothing_else_happens", || {
        let pool = pool(2);
        let blocks = || {
            std::hint::black_box([1u8; 32 << 10]);
            // By then nobody looks after the stacks any more.
            thread::sleep(Duration::from_secs(4));
        };
        let tasks: Vec<_> = (0..TASKS).map(|_| go(&pool, blocks)).collect();
        until("all have ended", || tasks.iter().all(|task| task.is_finished()));
        until("their memory is returned", || ec_tasks::stack_stats().free_and_returned >= TASKS);
    }));
}

#[test]
fn one_unpark_wakes_one_of_eight_sleepers() {
    went_well(in_child("one_unpark_wakes_one_of_eight_sleepers", || {
        // On a busy machine a core might be handed over to a thread that is new.
        let pool = settled_pool(8);
        let end = Arc::new(AtomicBool::new(false));
        let theirs = end.clone();
        let task = go(&pool, move || {
            while !theirs.load(Ordering::Relaxed) {
                ec_tasks::park();
            }
        });
        let mut bystander = Bystander::of(&pool);
        let one_round = || {
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
            match (woken, pool.metrics().wakeups - before.wakeups) {
                (0..=1, 1) => Ok(()),
                other => Err(format!("workers that have left their sleep, and calls: {other:?}")),
            }
        };
        (0..200).for_each(|_| bystander.watch(&pool, one_round));
        end.store(true, Ordering::Relaxed);
        task.task().unpark();
        task.join().unwrap();
    }));
}
