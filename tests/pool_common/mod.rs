//! What the tests of the number of threads share.
#![allow(dead_code)] // each uses a part

use crate::net_common::eventually;
use ec_test_support::{limit, skipped, this_test_again, threads_and_files};
use event_channel::runtime::PoolEvent;
use event_channel::sync::Notification;
use event_channel::{Runtime, task, time};
use nix::sys::resource::{UsageWho, getrusage};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The numbers are those of the process, and the load is for the whole machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub fn alone(seconds: u64, test: impl FnOnce()) {
    // The threads are counted that the process has.
    ec_unkind::no_other_runtime();
    let _alone = ONE_AT_A_TIME.lock();
    if task::migrates() {
        limit(seconds, || {
            // What a test before has left behind is not this one's.
            eventually(|| threads_and_files().0 == 0);
            test();
        });
    } else {
        skipped("here each task is a thread of its own");
    }
}

/// A number below `bound`, another one each time.
pub fn random(bound: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % bound
}

/// Keeps its CPU busy, for so long by the clock.
pub fn compute(span: Duration) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// Watches the number of threads while it lives.
pub struct Peak {
    most: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
}

impl Peak {
    pub fn new() -> Peak {
        let peak = Peak { most: Arc::default(), end: Arc::default() };
        let (most, end) = (peak.most.clone(), peak.end.clone());
        thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                most.fetch_max(threads_and_files().0, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
        });
        peak
    }

    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

/// A runtime with two cores, and what it says about its threads.
pub fn two_cores() -> (Runtime, Arc<Mutex<Vec<PoolEvent>>>) {
    let said: Arc<Mutex<Vec<PoolEvent>>> = Arc::default();
    let theirs = said.clone();
    let runtime =
        Runtime::builder().cores(2).on_event(move |event| theirs.lock().push(event.clone())).build();
    (runtime.unwrap(), said)
}

/// Runs `f`, which does not suspend, and counts how often the thread has slept in the kernel meanwhile: in a page fault, say, or for a
/// lock of the kernel's. (Who stands still because it may have no CPU does not sleep.)
fn noting_sleeps<T>(slept: &AtomicUsize, f: impl FnOnce() -> T) -> T {
    let so_far = || getrusage(UsageWho::RUSAGE_THREAD).unwrap().voluntary_context_switches();
    let before = so_far();
    let result = f();
    slept.fetch_add((so_far() - before) as usize, Ordering::Relaxed);
    result
}

/// Tasks that talk, sleep and compute a little, for a second. How often one of them, or a logger, kept a
/// thread asleep, as tasks do that block.
pub fn ordinary_load(runtime: &Runtime) -> usize {
    let (slept, blocked) = (Arc::new(AtomicUsize::new(0)), ec_unkind::blocked());
    let end = Instant::now() + Duration::from_secs(1);
    let notification = Arc::new(Notification::new());
    let tasks: Vec<_> = (0..50)
        .map(|index| {
            let (notification, slept) = (notification.clone(), slept.clone());
            runtime.spawn(move || {
                while Instant::now() < end {
                    let notification = notification.clone();
                    noting_sleeps(&slept, || compute(Duration::from_micros(random(300))));
                    match index % 3 {
                        0 => time::sleep(Duration::from_micros(random(3_000))),
                        1 => task::yield_now(),
                        _ => {
                            let posts = noting_sleeps(&slept, || task::spawn(move || notification.post()));
                            posts.join().unwrap();
                        }
                    }
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap());
    slept.load(Ordering::Relaxed) + ec_unkind::blocked() - blocked
}

/// True in a child process that is this test, `name`, alone. Else runs it in one, and waits for that.
pub fn in_a_process_of_its_own(name: &str) -> bool {
    let Some(mut child) = this_test_again(name) else { return true };
    alone(60, || assert!(child.status().unwrap().success()));
    false
}
