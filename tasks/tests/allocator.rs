//! An allocator is somebody's code: the runtime does not call it with a lock of its own held, nor anywhere else where no foreign
//! code may run. This one watches that, in a debug build.
#![cfg(not(loom))]

mod common;

use common::{Workers, in_child, migrating, stderr};
use ec_tasks::{
    JoinHandle, Kind, SpawnOptions, WaitKind, begin_wait, current, end_wait, own_thread_locals, park,
    stack_stats, tasks_of, trim_stacks, yield_now,
};
use ec_test_support::{limit, skipped};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Watching;

static ASKED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicBool = AtomicBool::new(false);

fn watch() {
    ASKED.fetch_add(1, Ordering::Relaxed);
    if let Some(place) = ec_tasks::crossing()
        && !FAILED.swap(true, Ordering::SeqCst)
    {
        // First what takes no memory.
        for words in ["\nthe allocator is called inside ", place, "\n"] {
            // SAFETY: the bytes of a live string.
            unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
        }
        eprintln!("{}", std::backtrace::Backtrace::force_capture());
        std::process::abort();
    }
}

// SAFETY: the system's.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        watch();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) };
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        watch();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Runs `test`; that the allocator has watched is not in doubt then.
fn watched(test: impl FnOnce()) {
    if !cfg!(debug_assertions) {
        return skipped("only a debug build says where no foreign code may run");
    }
    limit(60, || {
        let before = ASKED.load(Ordering::Relaxed);
        test();
        assert!(ASKED.load(Ordering::Relaxed) > before);
    });
}

fn end<T>(tasks: Vec<JoinHandle<T>>) {
    for task in tasks {
        task.task().unpark();
        task.join().unwrap();
    }
}

const KINDS: [Kind; 3] = [Kind::Own, Kind::Lean, Kind::Dedicated];

#[test]
fn while_tasks_come_wait_and_go() {
    watched(|| {
        let workers = Arc::new(Workers::new(3));
        for kind in KINDS {
            let options = move || SpawnOptions::new().kind(migrating(kind)).name("watched");
            let spawner = workers.clone();
            // From a task, and from this thread.
            let parent = workers.spawn(move || {
                for _ in 0..100 {
                    let child = |index| spawner.spawn_with(options(), move || vec![index; 100].len());
                    (0..20)
                        .map(child)
                        .collect::<Vec<_>>()
                        .into_iter()
                        .for_each(|task| _ = task.join().unwrap());
                    yield_now();
                }
            });
            for _ in 0..20 {
                end((0..20).map(|_| workers.spawn_with(options(), park)).collect());
            }
            drop(workers.spawn_with(options(), || ()));
            parent.join().unwrap();
        }
    });
}

/// As many as it takes for every list to grow, of each size of stacks.
#[test]
fn while_stacks_become_more_and_their_memory_is_returned() {
    watched(|| {
        let workers = Workers::new(2);
        for kind in [Kind::Own, Kind::Lean] {
            for size in [0, 1 << 20, 4 << 20] {
                let options = || SpawnOptions::new().kind(migrating(kind)).stack_size(size);
                end((0..300).map(|_| workers.spawn_with(options(), park)).collect());
            }
        }
        let start = Instant::now();
        for second in 0..3 {
            let now = start + Duration::from_secs(2 * second);
            while trim_stacks(now) == Some(Duration::ZERO) {}
        }
        assert!(stack_stats().free_and_returned > 0);
        end((0..300).map(|_| workers.spawn(park)).collect());
    });
}

#[test]
fn while_there_are_no_more_stacks() {
    const TEST: &str = "while_there_are_no_more_stacks";
    let output = in_child(TEST, || {
        watched(|| {
            let workers = Workers::new(1);
            workers.spawn(|| ()).join().unwrap();
            let most = libc::rlimit { rlim_cur: 8 << 30, rlim_max: 8 << 30 };
            // SAFETY: a limit for this process, which is the test's own.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &most) }, 0);
            let large = || SpawnOptions::new().stack_size(200 << 20);
            let all: Vec<_> = (0..100).map(|_| common::start(workers.scheduler(), large(), park)).collect();
            assert!(all.iter().any(Result::is_err));
            end(all.into_iter().flatten().collect());
            let none = SpawnOptions::new().stack_size(usize::MAX / 2);
            assert!(common::start(workers.scheduler(), none, || ()).is_err());
        });
    });
    assert!(output.status.success(), "{}", stderr(&output));
}

static READ: WaitKind = WaitKind { name: "read", cancel: None, describe: |_, fd| format!("fd {fd}") };

#[test]
fn while_all_is_listed_and_cancelled() {
    watched(|| {
        let workers = Workers::new(2);
        let stop = Arc::new(AtomicBool::new(false));
        let (queue, flag) = (workers.queue.clone(), stop.clone());
        let lister = std::thread::spawn(move || {
            let mut most = 0;
            while !flag.load(Ordering::Relaxed) {
                most = most.max(tasks_of(&*queue).len());
                ec_tasks::live_tasks_of(&*queue).iter().for_each(|task| task.cancel_sticky(&*queue));
            }
            most
        });
        for count in [1, 10, 100, 1000] {
            let body = || {
                begin_wait(&READ, 0, 7);
                park();
                end_wait();
                while !ec_tasks::take_cancel() {
                    yield_now();
                }
                current().unwrap().info().name
            };
            end((0..count).map(|_| workers.spawn(body)).collect());
        }
        stop.store(true, Ordering::Relaxed);
        assert!(lister.join().unwrap() > 0);
    });
}

#[test]
fn while_threads_become_workers_and_leave() {
    watched(|| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                std::thread::spawn(|| {
                    let workers = Workers::new(3);
                    end((0..3).map(|_| workers.spawn(park)).collect());
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Some with thread-locals, most of which are in most systems.
const LIBRARIES: [&std::ffi::CStr; 6] = [
    c"libgomp.so.1",
    c"libuuid.so.1",
    c"libselinux.so.1",
    c"libblkid.so.1",
    c"libmount.so.1",
    c"libjemalloc.so.2",
];

#[test]
fn while_libraries_are_loaded() {
    const TEST: &str = "while_libraries_are_loaded";
    let output = in_child(TEST, || {
        if let Err(why) = own_thread_locals() {
            return skipped(why);
        }
        watched(|| {
            let workers = Workers::new(2);
            let waiting: Vec<_> = (0..100).map(|_| workers.spawn(park)).collect();
            let load = || {
                // SAFETY: libraries of the system's that do nothing until they are called.
                let open = |name: &&std::ffi::CStr| unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
                let loaded: Vec<_> = LIBRARIES
                    .iter()
                    .map(open)
                    .filter(|library| !library.is_null())
                    .map(|library| library as usize)
                    .collect();
                yield_now();
                // SAFETY: loaded above, and not used.
                loaded.iter().for_each(|&library| _ = unsafe { libc::dlclose(library as *mut _) });
                loaded.len()
            };
            for _ in 0..5 {
                if workers.spawn(load).join().unwrap() == 0 {
                    skipped("none of the libraries is here");
                }
            }
            end(waiting);
        });
    });
    assert!(output.status.success(), "{}", stderr(&output));
    print!("{}", stderr(&output));
}
