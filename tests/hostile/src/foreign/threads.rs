//! Threads and their identity, as C and C++ see them from tasks.

use super::{Meeting, hop_in_callback};
use crate::check::Check;
use crate::support::{hop, hops, many, tasks};
use std::collections::HashSet;
use std::ffi::{c_int, c_long};
use std::sync::{Arc, Mutex};

pub const CHECKS: &[Check] = &[
    Check::new("pthread_self_is_unique_and_stays", || identities(|| ec_pthread_self())),
    Check::new("cxx_thread_ids_are_unique_and_stay", || identities(|| ec_this_thread_id() as usize)),
    Check::new("a_c_thread_is_made_and_joined_over_suspensions", made_and_joined_over_suspensions),
    Check::new("a_c_thread_is_joined_by_another_task", joined_by_another_task),
];

unsafe extern "C" {
    safe fn ec_pthread_self() -> usize;
    safe fn ec_this_thread_id() -> std::ffi::c_ulong;
    safe fn ec_thread_over(number: c_long, between: extern "C" fn()) -> c_long;
    safe fn ec_thread_start(thread: &mut libc::pthread_t, number: c_long) -> c_int;
    fn ec_thread_join(thread: libc::pthread_t) -> c_long;
}

/// No two that are alive have the same, neither tasks nor the threads of the runtime.
fn identities(identity: fn() -> usize) {
    let n = many(500);
    let all = Arc::new(Mutex::new(HashSet::from([identity()])));
    let of_workers = Arc::new(Mutex::new(HashSet::new()));
    let meeting = Meeting::of(n);
    let (seen, workers) = (all.clone(), of_workers.clone());
    tasks(n, move |_| {
        let mine = identity();
        assert!(seen.lock().unwrap().insert(mine), "two that are alive have the same identity");
        for _ in 0..10 {
            hop();
            assert_eq!(identity(), mine, "it has changed");
            let worker = event_channel::task::on_thread(identity);
            workers.lock().unwrap().insert(worker);
        }
        meeting.meet();
        assert_eq!(identity(), mine, "it has changed");
    });
    if event_channel::task::migrates() {
        let (all, of_workers) = (all.lock().unwrap(), of_workers.lock().unwrap());
        assert!(all.is_disjoint(&of_workers), "a task has its worker's identity");
    }
}

fn made_and_joined_over_suspensions() {
    tasks(40, |i| {
        for n in 0..5 {
            let number = (100 * i + n) as c_long + 1;
            super::locals::set(-number);
            assert_eq!(ec_thread_over(number, hop_in_callback), number, "what the thread has returned");
            assert!(super::locals::have(-number), "the thread has changed its maker's thread-locals");
        }
    });
}

fn joined_by_another_task() {
    let started = Arc::new(Mutex::new(Vec::new()));
    let mine = started.clone();
    tasks(40, move |i| {
        let mut thread = 0;
        assert_eq!(ec_thread_start(&mut thread, i as c_long + 1), 0);
        mine.lock().unwrap().push((thread, i as c_long + 1));
        hops(3);
    });
    tasks(40, move |_| {
        let (thread, number) = started.lock().unwrap().pop().expect("one for each");
        hop();
        // SAFETY: joined once.
        assert_eq!(unsafe { ec_thread_join(thread) }, number);
    });
}
