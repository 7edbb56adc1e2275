//! Thread-locals of a C library belong to the task that uses them.

use crate::check::Check;
use crate::support::{CORES, hop, many, spawn, tasks};
use std::ffi::{c_int, c_long};

pub const CHECKS: &[Check] = &[
    Check::new("c_thread_locals_belong_to_their_task", c_thread_locals_belong_to_their_task),
    Check::new("c_thread_locals_of_the_next_task_are_fresh", c_thread_locals_of_the_next_task_are_fresh),
];

mod native {
    use super::{c_int, c_long};

    unsafe extern "C" {
        pub safe fn ec_locals_fresh() -> c_int;
        pub safe fn ec_locals_set(value: c_long);
        pub safe fn ec_locals_have(value: c_long) -> c_int;
        pub safe fn ec_locals_address() -> *mut c_long;
    }
}

/// Are the caller's as a new thread finds them?
pub fn fresh() -> bool {
    native::ec_locals_fresh() != 0
}

/// Gives all of them values that come from this one.
pub fn set(value: c_long) {
    native::ec_locals_set(value);
}

/// Have they the values of `set(value)`?
pub fn have(value: c_long) -> bool {
    native::ec_locals_have(value) != 0
}

fn c_thread_locals_belong_to_their_task() {
    tasks(many(500), |i| {
        assert!(fresh(), "a new task finds another's values");
        let value = i as c_long + 1;
        let address = native::ec_locals_address();
        set(value);
        for _ in 0..20 {
            hop();
            assert!(have(value), "values were lost or exchanged");
            assert_eq!(native::ec_locals_address(), address, "a thread-local has moved");
            // SAFETY: a thread-local of this task, which is alive; `set` made it the negative of the value.
            assert_eq!(unsafe { address.read() }, -value, "through a pointer that was kept");
        }
    });
}

fn c_thread_locals_of_the_next_task_are_fresh() {
    let each = many(2000) / CORES;
    tasks(CORES, move |i| {
        for n in 0..each {
            let value = (i * each + n) as c_long + 1;
            let one = spawn(move || {
                assert!(fresh(), "what an earlier task left behind is still there");
                set(value);
                hop();
                assert!(have(value));
            });
            one.join().expect("a task");
        }
    });
}
