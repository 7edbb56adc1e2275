//! A program whose global allocator keeps something for each thread, as mimalloc and jemalloc do, wrapped in
//! `OnThread`: then it is kept for each thread and not for each task.

use ec_hostile::check::{self, Check};
use ec_hostile::support::{hop, many, spawn, tasks, thread_number};
use event_channel::alloc::OnThread;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const CHECKS: &[Check] = &[
    Check::new("an_allocators_state_belongs_to_threads_only", state_belongs_to_threads),
    Check::new("what_one_task_allocates_another_may_free", another_may_free),
    Check::new("an_allocator_on_thread_serves_destructors_too", serves_destructors),
];

fn main() -> std::process::ExitCode {
    check::main(&[&[CHECKS]])
}

#[global_allocator]
static ALLOCATOR: OnThread<PerThread> = OnThread(PerThread);

/// The system's, with a heap for each thread as far as can be seen from outside: a word that says whose it is.
struct PerThread;

thread_local! {
    /// The number of the thread whose heap this is; 0 at first.
    static HEAP: Cell<i32> = const { Cell::new(0) };
}

/// How many heaps there are: thread-locals that were touched for the first time.
static HEAPS: AtomicUsize = AtomicUsize::new(0);
/// Calls on a heap of another thread.
static STRAY: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

impl PerThread {
    fn touch(&self) {
        let here = thread_number();
        match HEAP.get() {
            0 => {
                HEAPS.fetch_add(1, Ordering::Relaxed);
                HEAP.set(here);
            }
            owner if owner != here => {
                STRAY.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for PerThread {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.touch();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        self.touch();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.touch();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.touch();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// The threads of this process that live now.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("proc").count()
}

/// No more heaps than threads have lived, however many tasks there were.
fn none_astray(tasks_made: usize) {
    let (heaps, stray) = (HEAPS.load(Ordering::Relaxed), STRAY.load(Ordering::Relaxed));
    assert!(CALLS.load(Ordering::Relaxed) > tasks_made, "the allocator was not asked");
    assert_eq!(stray, 0, "calls on another thread's heap");
    if event_channel::task::migrates() {
        // Those that have ended: what starts up may use a few.
        let threads = threads() + 16;
        assert!(heaps <= threads, "{heaps} heaps, about {threads} threads");
    }
}

fn state_belongs_to_threads() {
    let n = many(1000);
    for _ in 0..2 {
        tasks(n, |me| {
            let mut map = BTreeMap::new();
            for round in 0..20 {
                for key in 0..20 {
                    map.insert(key * 31 % 17 + round, vec![me; key]);
                }
                hop();
                assert!(map.values().all(|value| value.iter().all(|&number| number == me)));
                map.pop_first();
            }
            let mut zeroed = vec![0_u8; 10_000];
            hop();
            zeroed.resize(100_000, 1);
            assert_eq!(zeroed.iter().map(|&byte| byte as usize).sum::<usize>(), 90_000);
        });
    }
    none_astray(n);
}

fn another_may_free() {
    let n = many(1000);
    tasks(n, |me| {
        let other = spawn(move || {
            hop();
            (0..50).map(|n| format!("{me}-{n}")).collect::<Vec<_>>()
        });
        hop();
        let words = other.join().expect("it ends");
        hop();
        assert!(words.into_iter().enumerate().all(|(n, word)| word == format!("{me}-{n}")));
    });
    none_astray(n * 2);
}

fn serves_destructors() {
    struct Allocates(Vec<String>);
    impl Drop for Allocates {
        fn drop(&mut self) {
            self.0.push(format!("{} of them", self.0.len()));
            hop();
            self.0.clear();
        }
    }
    thread_local! {
        static KEPT: Cell<Option<Allocates>> = const { Cell::new(None) };
    }
    let n = many(1000);
    tasks(n, |me| {
        hop();
        KEPT.set(Some(Allocates(vec![me.to_string(); 20])));
        hop();
    });
    none_astray(n);
}
