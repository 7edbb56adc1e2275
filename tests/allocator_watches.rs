//! An allocator is code of the program's: the runtime never calls it where no such code may run. In a debug build this one ends the
//! process if it is called inside a crossing into the scheduler, or under a lock of the runtime's.

mod allocator_common;

use allocator_common::everything;
use ec_test_support::{limit, skipped, this_test_again};
use ec_unkind as _;
use std::alloc::{GlobalAlloc, Layout, System};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

struct Watches;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static FOUND: AtomicBool = AtomicBool::new(false);

fn watch(doing: &str) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    if let Some(what) = ec_tasks::crossing()
        && !FOUND.swap(true, Ordering::Relaxed)
    {
        // First of all in words that need no memory.
        for words in ["\nfatal: ", doing, " inside ", what, "\n"] {
            // SAFETY: the bytes of a live string.
            unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
        }
        // (Here it may well wait for itself; then the test's limit ends it.)
        eprintln!("{}", std::backtrace::Backtrace::force_capture());
        std::process::abort();
    }
}

// SAFETY: the system's, each call handed on.
unsafe impl GlobalAlloc for Watches {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch("an allocation");
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        watch("an allocation");
        // SAFETY: by contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        watch("a deallocation");
        // SAFETY: by contract.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        watch("a reallocation");
        // SAFETY: by contract.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static WATCHES: Watches = Watches;

#[test]
fn it_is_never_called_where_no_foreign_code_may_run() {
    limit(120, || {
        assert!(everything(3) > 0);
        assert!(CALLS.load(Ordering::Relaxed) > 1_000);
    });
}

#[test]
fn it_would_notice() {
    let Some(mut child) = this_test_again("it_would_notice") else {
        let _crossing = ec_tasks::Crossing::enter("a test");
        drop(std::hint::black_box(vec![1]));
        return;
    };
    if !cfg!(debug_assertions) {
        return skipped("nothing is watched in a release build");
    }
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
    assert!(said.contains("fatal: an allocation inside a test"), "{said}");
}
