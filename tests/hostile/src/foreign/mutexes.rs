//! pthread mutexes and read-write locks that know their owner: a task is one, and stays it over hops.
//!
//! The tasks only try: a task that blocks in a lock holds up its worker, and that may be the one which the owner needs.

use crate::check::Check;
use crate::support::{hop, hops, tasks};
use libc::{EBUSY, EDEADLK, EPERM};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

pub const CHECKS: &[Check] = &[
    Check::new("a_recursive_mutex_lets_only_its_owner_in", || only_its_owner(RECURSIVE)),
    Check::new("an_error_checking_mutex_knows_its_owner", || only_its_owner(ERROR_CHECKING)),
    Check::new("a_robust_mutex_is_held_over_suspensions", || only_its_owner(ROBUST)),
    Check::new("an_inheriting_mutex_is_held_over_suspensions_if_nobody_waits", || only_its_owner(INHERITING)),
    Check::new("a_read_write_lock_knows_its_writer", a_read_write_lock_knows_its_writer),
];

const RECURSIVE: c_int = 0;
const ERROR_CHECKING: c_int = 1;
const ROBUST: c_int = 2;
const INHERITING: c_int = 3;

unsafe extern "C" {
    safe fn ec_mutex_new(kind: c_int) -> *mut c_void;
    fn ec_mutex_lock(mutex: *mut c_void) -> c_int;
    fn ec_mutex_trylock(mutex: *mut c_void) -> c_int;
    fn ec_mutex_unlock(mutex: *mut c_void) -> c_int;
    safe fn ec_rwlock_new() -> *mut c_void;
    fn ec_rwlock_trywrlock(lock: *mut c_void) -> c_int;
    fn ec_rwlock_rdlock(lock: *mut c_void) -> c_int;
    fn ec_rwlock_unlock(lock: *mut c_void) -> c_int;
}

const TASKS: usize = 60;
const TIMES: usize = 5;

fn only_its_owner(kind: c_int) {
    let mutex = ec_mutex_new(kind);
    assert!(!mutex.is_null(), "this system has no such mutexes");
    let mutex = mutex.expose_provenance();
    let inside = Arc::new(AtomicUsize::new(0));
    tasks(TASKS, move |i| {
        let mutex = ptr::with_exposed_provenance_mut(mutex);
        let mut had = 0;
        while had < TIMES {
            // SAFETY: a mutex that is never freed. What is wrongly used here has an error as its defined answer.
            unsafe {
                match ec_mutex_trylock(mutex) {
                    0 => {
                        assert_eq!(inside.swap(i + 1, SeqCst), 0, "two tasks are in");
                        hops(2);
                        owner_again(kind, mutex);
                        assert_eq!(inside.swap(0, SeqCst), i + 1, "another task was in");
                        assert_eq!(
                            ec_mutex_unlock(mutex),
                            0,
                            "its owner cannot unlock it after a suspension"
                        );
                        had += 1;
                    }
                    EBUSY => {
                        if kind == RECURSIVE || kind == ERROR_CHECKING {
                            assert_eq!(ec_mutex_unlock(mutex), EPERM, "unlocked by another task");
                        }
                    }
                    error => panic!("trylock: {error}"),
                }
            }
            hop();
        }
    });
}

/// # Safety
/// The caller holds the mutex, once.
unsafe fn owner_again(kind: c_int, mutex: *mut c_void) {
    // SAFETY: by contract; these kinds answer an owner who locks again.
    unsafe {
        match kind {
            RECURSIVE => {
                assert_eq!(ec_mutex_lock(mutex), 0);
                hop();
                assert_eq!(ec_mutex_trylock(mutex), 0);
                hop();
                assert_eq!(ec_mutex_unlock(mutex), 0);
                hop();
                assert_eq!(ec_mutex_unlock(mutex), 0);
                hop();
            }
            ERROR_CHECKING => {
                assert_eq!(ec_mutex_lock(mutex), EDEADLK);
                assert_eq!(ec_mutex_trylock(mutex), EBUSY);
            }
            _ => {}
        }
    }
}

fn a_read_write_lock_knows_its_writer() {
    let lock = ec_rwlock_new().expose_provenance();
    let inside = Arc::new(AtomicUsize::new(0));
    tasks(TASKS, move |i| {
        let lock = ptr::with_exposed_provenance_mut(lock);
        let mut had = 0;
        while had < TIMES {
            // SAFETY: a lock that is never freed; a writer who locks again gets an error.
            unsafe {
                match ec_rwlock_trywrlock(lock) {
                    0 => {
                        assert_eq!(inside.swap(i + 1, SeqCst), 0, "two writers");
                        hop();
                        assert_eq!(ec_rwlock_rdlock(lock), EDEADLK, "it does not know its writer any more");
                        assert_eq!(inside.swap(0, SeqCst), i + 1, "two writers");
                        assert_eq!(ec_rwlock_unlock(lock), 0);
                        had += 1;
                    }
                    EBUSY => {}
                    error => panic!("trywrlock: {error}"),
                }
            }
            hop();
        }
    });
}
