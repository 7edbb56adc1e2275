//! The documented limits: what a task cannot have answers with an error, as documented, and breaks nothing.

use crate::check::Check;
use crate::support::{hop, tasks};
use event_channel::task;
use libc::ESRCH;
use std::ffi::c_int;

pub const CHECKS: &[Check] = &[
    Check::new(
        "affinity_and_scheduling_of_a_task_are_refused",
        affinity_and_scheduling_of_a_task_are_refused,
    ),
    Check::new("on_the_thread_they_are_granted", on_the_thread_they_are_granted),
    Check::new("a_tasks_thread_can_be_named", a_tasks_thread_can_be_named),
];

unsafe extern "C" {
    safe fn ec_set_affinity_of_self() -> c_int;
    safe fn ec_get_affinity_of_self() -> c_int;
    safe fn ec_get_attributes_of_self() -> c_int;
    safe fn ec_get_scheduling_of_self() -> c_int;
    safe fn ec_set_name_of_self() -> c_int;
}

const CALLS: [fn() -> c_int; 4] = [
    || ec_set_affinity_of_self(),
    || ec_get_affinity_of_self(),
    || ec_get_attributes_of_self(),
    || ec_get_scheduling_of_self(),
];

fn affinity_and_scheduling_of_a_task_are_refused() {
    // A task is not a thread of the kernel; one with a thread of its own is.
    tasks(100, move |_| {
        for _ in 0..3 {
            let [rest @ .., scheduling] = CALLS.map(|call| call());
            if task::migrates() {
                assert_eq!(rest, [ESRCH; 3]);
                // libc does not pass the kernel's error on: some of its versions answer 1.
                assert_ne!(scheduling, 0);
            } else {
                assert_eq!((rest, scheduling), ([0; 3], 0));
            }
            hop();
        }
    });
}

fn on_the_thread_they_are_granted() {
    tasks(100, |_| {
        for _ in 0..3 {
            let answers = task::on_thread(|| CALLS.map(|call| call()));
            assert_eq!(answers, [0; 4]);
            hop();
        }
    });
}

fn a_tasks_thread_can_be_named() {
    tasks(100, |_| {
        assert_eq!(ec_set_name_of_self(), 0);
        hop();
    });
}
