//! A thread that is inside the program's code, where nobody would expect it, does not hold up the end of a pool: it is named, and
//! leaves when that code returns.

mod common;

use common::{go, pool, until};
use ec_channel::Request;
use ec_test_support::{limit, threads_and_files};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(50);
/// Beyond all limits of a shutdown with a short grace, on a machine that stands still now and then. (It took two seconds more once.)
const LONG: Duration = Duration::from_millis(1_500);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An allocator that keeps the thread with this number until it is another one.
struct Keeps;

static KEPT: AtomicI32 = AtomicI32::new(0);
static INSIDE: AtomicUsize = AtomicUsize::new(0);

fn keep() {
    let kept = KEPT.load(Ordering::Relaxed);
    // SAFETY: takes nothing.
    if kept != 0 && kept == unsafe { libc::gettid() } {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        while KEPT.load(Ordering::Relaxed) == kept {
            // SAFETY: a live value; it allocates nothing.
            unsafe { libc::usleep(1_000) };
        }
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

// SAFETY: the system's, each call handed on.
unsafe impl GlobalAlloc for Keeps {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        keep();
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: by contract.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static KEEPS: Keeps = Keeps;

/// The number of the thread of this process that has this name.
fn thread_named(name: &str) -> i32 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_it = |thread: &std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    let mut found = threads.filter(is_it).map(|thread| thread.file_name().to_str().unwrap().parse().unwrap());
    found.next().unwrap()
}

/// A test in which one thread's name stands for one thread.
fn alone(test: impl FnOnce()) {
    ec_unkind::no_other_runtime();
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    limit(60, || {
        until("there are no threads of another pool", || threads_and_files().0 == 0);
        test();
        until("all threads have gone", || threads_and_files().0 == 0);
    });
}

fn within_limits<R>(f: impl FnOnce() -> R) -> R {
    let began = Instant::now();
    let result = f();
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    result
}

#[test]
fn a_worker_in_the_destructor_of_a_thread_local() {
    struct Blocks(mpsc::Receiver<()>);
    impl Drop for Blocks {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }
    thread_local!(static LAST: RefCell<Option<Blocks>> = const { RefCell::new(None) });
    alone(|| {
        let pool = pool(1);
        let (let_go, held) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let held = Mutex::new(Some(held));
        // In a handler the thread-locals are the worker's.
        let request = Request::timer(Duration::ZERO).on_complete(move |_, _| {
            LAST.set(held.lock().unwrap().take().map(Blocks));
            tell.send(()).unwrap();
        });
        pool.channel().post(request).unwrap();
        told.recv().unwrap();
        let error = within_limits(|| pool.shutdown(SHORT)).unwrap_err();
        assert!(
            error.names().iter().any(|name| name == "a destructor of a thread-local on ec-worker-0"),
            "{error}"
        );
        drop(let_go);
    });
}

#[test]
fn the_monitor_in_an_allocator() {
    alone(|| {
        let pool = pool(1);
        until("the monitor has begun and sleeps", || pool.metrics().monitor_looks > 3);
        KEPT.store(thread_named("ec-monitor"), Ordering::SeqCst);
        let task = go(&pool, || {
            until("the monitor has looked at this worker", || INSIDE.load(Ordering::SeqCst) == 1);
        });
        task.join().unwrap();
        let error = within_limits(|| pool.shutdown(SHORT)).unwrap_err();
        KEPT.store(0, Ordering::SeqCst);
        assert!(error.names().iter().any(|name| name == "the monitor"), "{error}");
    });
}

#[test]
fn a_worker_in_an_allocator() {
    alone(|| {
        let pool = pool(1);
        go(&pool, || ()).join().unwrap();
        KEPT.store(thread_named("ec-worker-0"), Ordering::SeqCst);
        // The handler's call is put into a box.
        pool.channel().post(Request::timer(Duration::ZERO).on_complete(|_, _| ())).unwrap();
        until("it is there", || INSIDE.load(Ordering::SeqCst) == 1);
        let error = within_limits(|| pool.shutdown(SHORT)).unwrap_err();
        KEPT.store(0, Ordering::SeqCst);
        assert!(error.to_string().contains("on ec-worker-0"), "{error}");
    });
}

/// The one does not hide the other.
#[test]
fn the_monitor_in_an_allocator_and_a_worker_in_a_handler() {
    alone(|| {
        let pool = pool(1);
        until("the monitor has begun and sleeps", || pool.metrics().monitor_looks > 3);
        KEPT.store(thread_named("ec-monitor"), Ordering::SeqCst);
        let (let_go, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let request = Request::timer(Duration::ZERO).on_complete(move |_, _| {
            let _ = held.lock().unwrap().recv();
        });
        pool.channel().post(request).unwrap();
        until("the monitor has looked at this worker", || INSIDE.load(Ordering::SeqCst) == 1);
        let error = within_limits(|| pool.shutdown(SHORT)).unwrap_err();
        KEPT.store(0, Ordering::SeqCst);
        for part in ["the monitor", "a handler of an event on ec-worker-0"] {
            assert!(error.names().iter().any(|name| name.contains(part)), "{error}");
        }
        drop(let_go);
    });
}

/// Its task is admitted, and cannot be found.
#[test]
fn a_thread_in_an_allocator_that_spawns() {
    alone(|| {
        let pool = pool(1);
        go(&pool, || ()).join().unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let spawner = threads.spawn(|| {
                // SAFETY: takes nothing.
                KEPT.store(unsafe { libc::gettid() }, Ordering::SeqCst);
                // SAFETY: it does not suspend.
                let task = unsafe { pool.spawn(common::migrating(), || ()) };
                assert!(over.load(Ordering::SeqCst));
                // Abandoned before it began: the pool has ended.
                assert!(task.unwrap().join().is_err());
            });
            until("it is there", || INSIDE.load(Ordering::SeqCst) == 1);
            let error = within_limits(|| pool.shutdown(SHORT)).unwrap_err();
            assert!(error.names().iter().any(|name| name == "a task that is just being spawned"), "{error}");
            over.store(true, Ordering::SeqCst);
            KEPT.store(0, Ordering::SeqCst);
            spawner.join().unwrap();
        });
    });
}
