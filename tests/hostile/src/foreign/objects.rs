//! A C++ library in tasks: thread-local objects, exceptions across suspensions, `call_once`, recursive mutexes.

use super::hop_in_callback;
use crate::check::Check;
use crate::support::{CORES, eventually, hop, many, tasks};
use std::ffi::{c_long, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

pub const CHECKS: &[Check] = &[
    Check::new("cxx_thread_local_objects_live_and_die_with_their_task", objects_live_and_die_with_their_task),
    Check::new("a_cxx_exception_is_thrown_after_a_suspension", thrown_after_a_suspension),
    Check::new("a_cxx_exception_unwinds_over_a_suspension", unwinds_over_a_suspension),
    Check::new("a_cxx_exception_is_rethrown_after_a_suspension", rethrown_after_a_suspension),
    Check::new("a_cxx_call_once_may_suspend", call_once_may_suspend),
    Check::new("cxx_threads_made_in_tasks_are_others", threads_made_in_tasks_are_others),
    Check::new("a_cxx_recursive_mutex_lets_only_its_owner_in", recursive_mutex_lets_only_its_owner_in),
];

type Callback = extern "C" fn();

unsafe extern "C" {
    safe fn ec_object_make(number: c_long, at_end: Option<Callback>);
    safe fn ec_object_is(number: c_long) -> bool;
    safe fn ec_objects_made() -> c_long;
    safe fn ec_objects_destroyed() -> c_long;
    safe fn ec_objects_astray() -> c_long;
    safe fn ec_throw_after(callback: Callback, number: c_long) -> bool;
    safe fn ec_unwind_over(callback: Callback, number: c_long) -> bool;
    safe fn ec_rethrow_after(callback: Callback, number: c_long) -> bool;
    safe fn ec_call_once(callback: Callback) -> bool;
    safe fn ec_thread_in_between(number: c_long) -> bool;
    safe fn ec_recursive_new() -> *mut c_void;
    fn ec_recursive_try_lock(mutex: *mut c_void) -> bool;
    fn ec_recursive_unlock(mutex: *mut c_void);
}

fn objects_live_and_die_with_their_task() {
    let n = many(500);
    for round in 1..=3 {
        tasks(n, |i| {
            let number = i as c_long;
            // Every third suspends in a destructor.
            ec_object_make(number, (i % 3 == 0).then_some(hop_in_callback));
            for _ in 0..10 {
                hop();
                assert!(ec_object_is(number), "an object was lost or exchanged");
            }
        });
        let expected = (2 * round * n) as c_long;
        assert_eq!(ec_objects_made(), expected, "objects for each task, once");
        eventually(|| ec_objects_destroyed() >= expected);
        tasks(CORES, |_| hop());
        assert_eq!(ec_objects_destroyed(), expected, "a destructor ran twice");
        assert_eq!(ec_objects_astray(), 0, "destructors that saw other thread-locals than their task's");
    }
}

/// Several at a time, many times, so that exceptions of different tasks are under way at once.
fn in_tasks(what: extern "C" fn(Callback, c_long) -> bool) {
    tasks(many(200), move |i| {
        for n in 0..15 {
            assert!(what(hop_in_callback, (1000 * i + n) as c_long));
        }
    });
}

fn thrown_after_a_suspension() {
    extern "C" fn what(callback: Callback, number: c_long) -> bool {
        ec_throw_after(callback, number)
    }
    in_tasks(what);
}

fn unwinds_over_a_suspension() {
    extern "C" fn what(callback: Callback, number: c_long) -> bool {
        ec_unwind_over(callback, number)
    }
    in_tasks(what);
}

fn rethrown_after_a_suspension() {
    extern "C" fn what(callback: Callback, number: c_long) -> bool {
        ec_rethrow_after(callback, number)
    }
    in_tasks(what);
}

fn call_once_may_suspend() {
    // A flag for each task: nobody waits for another's `call_once`.
    tasks(many(200), |_| {
        for _ in 0..5 {
            assert!(ec_call_once(hop_in_callback));
        }
    });
}

fn threads_made_in_tasks_are_others() {
    tasks(20, |i| {
        for n in 0..5 {
            ec_object_make((100 * i + n) as c_long, None);
            hop();
            assert!(ec_thread_in_between((100 * i + n) as c_long));
        }
    });
    // The tasks' own objects and those of the threads.
    eventually(|| ec_objects_destroyed() == ec_objects_made());
    assert_eq!(ec_objects_astray(), 0);
}

fn recursive_mutex_lets_only_its_owner_in() {
    let mutex = ec_recursive_new().expose_provenance();
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    tasks(60, move |i| {
        let mutex = std::ptr::with_exposed_provenance_mut(mutex);
        let mut had = 0;
        while had < 5 {
            // SAFETY: a mutex that is never freed, unlocked below as often as it was locked, by its owner.
            unsafe {
                if ec_recursive_try_lock(mutex) {
                    assert_eq!(INSIDE.swap(i + 1, SeqCst), 0, "two tasks are in");
                    hop();
                    assert!(ec_recursive_try_lock(mutex), "the owner is locked out after a suspension");
                    hop();
                    ec_recursive_unlock(mutex);
                    hop();
                    assert_eq!(INSIDE.swap(0, SeqCst), i + 1, "another task was in");
                    ec_recursive_unlock(mutex);
                    had += 1;
                }
            }
            hop();
        }
    });
}
