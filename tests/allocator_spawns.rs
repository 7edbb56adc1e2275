//! An allocator is code of the program's: it may use the runtime, wherever it is called. Each 16th allocation of this one spawns a
//! task, posts a notification or wakes a task.

mod allocator_common;

use allocator_common::everything;
use ec_test_support::{limit, this_test_again};
use ec_unkind as _;
use event_channel::sync::Notification;
use event_channel::task::{self, Task};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

struct Uses;

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static SPAWNED: AtomicUsize = AtomicUsize::new(0);
static RAN: AtomicUsize = AtomicUsize::new(0);
static POSTED: Notification = Notification::new();
/// Parks again and again.
static SLEEPER: OnceLock<Task> = OnceLock::new();

thread_local!(static WITHIN: Cell<bool> = const { Cell::new(false) });

fn use_the_runtime() {
    if !ON.load(Ordering::Relaxed) || WITHIN.replace(true) {
        return;
    }
    let count = ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    if count.is_multiple_of(16) {
        match count / 16 % 3 {
            0 => {
                let body = || RAN.fetch_add(1, Ordering::SeqCst);
                // (In a runtime that is shut down there is an error.)
                if task::Builder::new().spawn(body).is_ok() {
                    SPAWNED.fetch_add(1, Ordering::SeqCst);
                }
            }
            1 => POSTED.post(),
            _ => SLEEPER.get().into_iter().for_each(Task::unpark),
        }
    }
    WITHIN.set(false);
}

// SAFETY: the system's, each call handed on; what is done before does not unwind.
unsafe impl GlobalAlloc for Uses {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        use_the_runtime();
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        use_the_runtime();
        // SAFETY: by contract.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static USES: Uses = Uses;

/// In a process of its own: runs `body` while the allocator does what it does.
fn while_it_does(name: &str, body: impl FnOnce()) {
    let Some(mut child) = this_test_again(name) else {
        return limit(120, || {
            // (What libc is like is found out first, by threads that do nothing else while they are looked at.)
            task::migrates();
            ON.store(true, Ordering::SeqCst);
            body();
            ON.store(false, Ordering::SeqCst);
            println!(
                "{} allocations, {} tasks",
                ALLOCATIONS.load(Ordering::SeqCst),
                SPAWNED.load(Ordering::SeqCst)
            );
            assert!(SPAWNED.load(Ordering::SeqCst) > 0);
        });
    };
    assert!(child.status().unwrap().success());
}

#[test]
fn it_may_spawn_while_the_default_runtime_begins() {
    while_it_does("it_may_spawn_while_the_default_runtime_begins", || {
        assert_eq!(event_channel::run(|| 7), 7);
        // All that went to the default runtime run.
        while RAN.load(Ordering::SeqCst) < SPAWNED.load(Ordering::SeqCst) {
            task::yield_now();
        }
    });
}

#[test]
fn it_may_spawn_post_and_wake_whatever_the_runtime_does() {
    while_it_does("it_may_spawn_post_and_wake_whatever_the_runtime_does", || {
        let sleeper = task::spawn(|| {
            loop {
                task::park();
            }
        });
        assert!(SLEEPER.set(sleeper.task().clone()).is_ok());
        let waiter = task::spawn(|| {
            loop {
                POSTED.wait();
            }
        });
        assert!(everything(3) > 0);
        drop((sleeper, waiter));
    });
}
