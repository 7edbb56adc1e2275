//! Dedicated tasks, and a forked child.
#![cfg(not(loom))]

mod common;

use std::cell::Cell;
use std::io::ErrorKind;

use common::{Workers, until};
use ec_tasks::{
    Kind, SpawnOptions, TaskState, Tokens, current, current_context, park, suspend_for_op, task_local,
    wake_raw, yield_now,
};
use ec_test_support::limit;
use ec_unkind as _;

fn named(name: &str) -> SpawnOptions {
    SpawnOptions::new().name(name)
}

fn spawn_dedicated<T: Send + 'static>(
    scheduler: std::sync::Arc<dyn ec_tasks::Scheduler>,
    options: SpawnOptions,
    f: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<ec_tasks::JoinHandle<T>> {
    ec_tasks::spawn(scheduler, options.kind(Kind::Dedicated), f)
}

#[test]
fn it_is_a_thread_with_the_tasks_name() {
    limit(20, || {
        let workers = Workers::new(1);
        let task = spawn_dedicated(workers.scheduler(), named("own"), || {
            let me = current().unwrap();
            assert_eq!(me.name(), Some("own"));
            assert_eq!(me.info().kind, Kind::Dedicated);
            assert!(current_context().is_null());
            yield_now();
            std::thread::current().name().map(str::to_owned)
        });
        assert_eq!(task.unwrap().join().unwrap().as_deref(), Some("own"));
    });
}

#[test]
fn it_parks_and_is_woken_as_any_task() {
    limit(60, || {
        let workers = Workers::new(1);
        let task = spawn_dedicated(workers.scheduler(), named("own"), || {
            for _ in 0..20_000 {
                park();
            }
            // SAFETY: the only one in flight is the one below.
            unsafe { suspend_for_op(Tokens::OP) }
        })
        .unwrap();
        let lean = {
            let own = task.task().clone();
            workers.spawn(move || {
                until(|| {
                    own.unpark();
                    let info = own.info();
                    info.waits_for.is_none() && info.state == TaskState::Suspended
                });
                // SAFETY: it waits for this one.
                unsafe { wake_raw(own.as_ptr(), Tokens::OP) };
            })
        };
        assert_eq!(task.join().unwrap(), Tokens::OP);
        lean.join().unwrap();
    });
}

#[test]
fn its_end_is_a_tasks_end() {
    task_local! { static SEEN: Cell<bool> = const { Cell::new(false) } }
    limit(20, || {
        let workers = Workers::new(1);
        let task = spawn_dedicated(workers.scheduler(), named("fails"), || {
            SEEN.set(true);
            panic!("on purpose")
        });
        let joined: std::thread::Result<()> = task.unwrap().join();
        assert_eq!(*joined.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
        assert_eq!(workers.queue.finished.load(std::sync::atomic::Ordering::Relaxed), 1);
        let inner = spawn_dedicated(workers.scheduler(), named("inner"), || 4).unwrap();
        let outer = spawn_dedicated(workers.scheduler(), named("outer"), move || inner.join().unwrap() + 1);
        assert_eq!(outer.unwrap().join().unwrap(), 5);
    });
}

#[test]
fn no_thread_is_an_error() {
    let workers = Workers::new(1);
    let held = std::sync::Arc::new(());
    let copy = held.clone();
    let refused = spawn_dedicated(workers.scheduler(), named("a\0b"), move || drop(copy));
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::InvalidInput);
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
    // More stack than there are addresses.
    let options = SpawnOptions::new().stack_size(usize::MAX / 2);
    assert!(spawn_dedicated(workers.scheduler(), options, || ()).is_err());
    assert!(ec_tasks::tasks_of(&*workers.queue).is_empty());
}

/// In a forked child nothing is a task: neither in a task that forked nor elsewhere.
#[test]
fn a_forked_child_knows() {
    fn in_fork(f: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child only looks around and leaves by _exit.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(if f() { 0 } else { 1 });
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
    limit(20, || {
        let workers = Workers::new(1);
        let scheduler = workers.scheduler();
        let queue = workers.queue.clone();
        let sleeper = workers.spawn(park);
        let wakes = sleeper.task().clone();
        let task = workers.spawn(move || {
            in_fork(move || {
                let spawned = ec_tasks::spawn(scheduler, SpawnOptions::new(), || ());
                ec_tasks::forked()
                    && current().is_none()
                    && current_context().is_null()
                    && spawned.is_err_and(|error| error.kind() == ErrorKind::Unsupported)
                    && ec_tasks::tasks_of(&*queue).is_empty()
                    && sleeper.join().is_err()
            })
        });
        assert!(task.join().unwrap());
        assert!(!ec_tasks::forked());
        wakes.unpark();
    });
}
