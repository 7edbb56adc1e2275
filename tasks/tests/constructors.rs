//! The constructors of a library that is being loaded are somebody's code: they may spawn, wait for tasks that they have spawned,
//! and load other libraries. (For a thread, which any libc has wait for the loader when it begins, they cannot wait.)
#![cfg(not(loom))]

mod common;

use common::{Workers, in_child, stderr};
use ec_tasks::{JoinHandle, Kind, SpawnOptions, own_thread_locals, yield_now};
use ec_test_support::limit;
use parking_lot::Mutex;
use std::ffi::CString;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls, when it is loaded and when it is unloaded, the function whose address the environment tells. It has thread-locals, so that a new
/// template is taken.
const SOURCE: &str = "
#include <stdlib.h>
static __thread long before[4] __attribute__((tls_model(\"initial-exec\"))) = {1, 2, 3, 4};
static void call(void) { ((void (*)(long))strtoull(getenv(\"HOOK\"), 0, 10))(before[2]); }
__attribute__((constructor)) static void loaded(void) { call(); }
__attribute__((destructor)) static void unloaded(void) { call(); }
";

fn library() -> CString {
    // (Not among what was built: an ordinary user may not write there.)
    let place = std::env::temp_dir().join(format!("ec-constructor-{}", std::process::id()));
    let source = place.with_extension("c");
    std::fs::write(&source, SOURCE).unwrap();
    let library = place.with_extension("so");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
    assert!(compiled.success());
    std::fs::remove_file(source).unwrap();
    CString::new(library.to_str().unwrap()).unwrap()
}

static CALLS: AtomicUsize = AtomicUsize::new(0);
static LATER: Mutex<Vec<JoinHandle<Kind>>> = Mutex::new(Vec::new());
static WORKERS: OnceLock<Workers> = OnceLock::new();

extern "C" fn hook(third: i64) {
    assert_eq!(third, 3);
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: a library of the system's that is loaded already.
    unsafe {
        let again = libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_NOW);
        assert!(!again.is_null());
        libc::dlclose(again);
    }
    let workers = WORKERS.get().unwrap();
    let body = || {
        yield_now();
        ec_tasks::current().unwrap().kind()
    };
    let spawn = || ec_tasks::spawn(workers.scheduler(), SpawnOptions::new(), body).unwrap();
    for task in [spawn(), spawn()] {
        match task.task().kind() {
            Kind::Own => assert_eq!(task.join().unwrap(), Kind::Own),
            _ => LATER.lock().push(task),
        }
    }
}

fn load_and_unload(library: &CString) {
    // SAFETY: what it runs is in this file.
    unsafe {
        let library = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
        assert!(!library.is_null());
        assert_eq!(libc::dlclose(library), 0);
    }
}

fn child(test: &str, body: fn(&CString)) {
    let output = in_child(test, || {
        limit(60, || {
            WORKERS.get_or_init(|| Workers::new(2));
            let library = library();
            // SAFETY: no other thread looks at the environment now.
            unsafe { std::env::set_var("HOOK", (hook as *const () as usize).to_string()) };
            body(&library);
            std::fs::remove_file(library.to_str().unwrap()).unwrap();
        });
    });
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_first_task_of_a_process_may_be_spawned_in_one() {
    if cfg!(any(target_env = "musl", target_feature = "crt-static")) {
        return ec_test_support::skipped("a static program loads no libraries");
    }
    child("the_first_task_of_a_process_may_be_spawned_in_one", |library| {
        load_and_unload(library);
        assert_eq!(CALLS.load(Ordering::Relaxed), 2);
        let later = std::mem::take(&mut *LATER.lock());
        assert_eq!(later.len(), 4, "while it is not known, tasks are threads");
        later.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), Kind::Dedicated));
        // It has not been decided by that: tasks are not threads for ever.
        let off = std::env::var_os("EVENT_CHANNEL_OWN_TLS").is_some_and(|value| value == "off");
        assert!(
            off || own_thread_locals()
                != Err("it is just being found out whether tasks can have thread-locals of their own")
        );
    });
}

#[test]
fn tasks_and_threads_may_load_what_spawns_and_joins() {
    if cfg!(any(target_env = "musl", target_feature = "crt-static")) {
        return ec_test_support::skipped("a static program loads no libraries");
    }
    child("tasks_and_threads_may_load_what_spawns_and_joins", |library| {
        let _ = own_thread_locals();
        let workers = WORKERS.get().unwrap();
        // Of the two workers one loads, and the other runs what the constructors wait for.
        for _ in 0..20 {
            let library = library.clone();
            workers.spawn(move || load_and_unload(&library)).join().unwrap();
        }
        (0..20).for_each(|_| load_and_unload(library));
        assert_eq!(CALLS.load(Ordering::Relaxed), 80);
    });
}
