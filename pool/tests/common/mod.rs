//! What the pool's tests share.
#![allow(dead_code)]

use ec_channel::raw::{Op, Operation, Timer};
use ec_pool::{Pool, PoolHandle};
use ec_tasks::{JoinHandle, Kind, SpawnOptions, Tokens};
use std::time::{Duration, Instant};

pub use ec_test_support::threads_and_files;

pub fn pool(cores: usize) -> Pool {
    Pool::builder().cores(cores).build().unwrap()
}

/// A pool with no thread to hand a core to, however long a task keeps it on a busy machine: what runs where, and in which
/// order, is settled.
pub fn settled_pool(cores: usize) -> Pool {
    Pool::builder().cores(cores).max_threads(cores).build().unwrap()
}

/// A kind of task that workers run: lean where a task with thread-locals of its own would be a thread.
pub fn migrating() -> SpawnOptions {
    let own = ec_tasks::own_thread_locals().is_ok();
    SpawnOptions::new().kind(if own { Kind::Own } else { Kind::Lean })
}

/// Starts a task that workers run.
pub fn go<T: Send + 'static>(pool: &PoolHandle, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    named(pool, None, f)
}

pub fn named<T: Send + 'static>(
    pool: &PoolHandle,
    name: Option<&str>,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let mut options = migrating();
    options.name = name.map(String::from);
    // SAFETY: the tests' tasks hold nothing of a thread across a suspension.
    unsafe { pool.spawn(options, f) }.unwrap()
}

unsafe fn wake(word: usize) {
    // SAFETY: the task waits for this.
    unsafe { ec_tasks::wake_raw(word as *const (), Tokens::OP) }
}

/// In a task: performs one raw operation and gives its result.
pub fn operate(operation: impl Operation, deadline: Option<Instant>) -> i32 {
    let pool = ec_pool::current().unwrap();
    let me = ec_tasks::current().unwrap();
    let mut op = Op::new(operation, wake, me.as_ptr() as usize);
    op.set_deadline(deadline);
    let op = op.raw();
    // SAFETY: it stays in this frame until the task was woken by it.
    unsafe {
        pool.channel().submit_raw(ec_pool::current_port(), op);
        while !ec_tasks::suspend_for_op(Tokens::OP).contains(Tokens::OP) {}
        (*op).result()
    }
}

/// In a task: sleeps.
pub fn nap(span: Duration) {
    assert_eq!(operate(Timer, Some(Instant::now() + span)), 0);
}

/// Waits, on a plain thread, until something has become true. The test's time limit catches the case that it never does;
/// for that it says beforehand what is waited for.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    let mut said = false;
    while !condition() {
        if !said && start.elapsed() > Duration::from_secs(10) {
            said = true;
            eprintln!("still waiting until {what}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn until_idle(pool: &PoolHandle) {
    until("all workers sleep", || pool.metrics().workers_asleep == pool.metrics().cores);
}

/// Waits until the process has no more threads and descriptors than `before`: a thread that was joined is listed for a
/// moment longer.
pub fn until_no_more_than(before: (usize, usize)) {
    until(&format!("there are no more threads and descriptors than {before:?}"), || {
        let now = threads_and_files();
        now.0 <= before.0 && now.1 <= before.1
    });
}
