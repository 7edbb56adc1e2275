//! Threaded programs, compiled twice: with `use std::thread` and with `use event_channel::thread`. They say the same.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use net_common::each_runtime_of;

macro_rules! programs_with {
    ($name:ident, $thread:path) => {
        mod $name {
            use $thread;
            include!("thread_programs/programs.rs");
        }
    };
}

programs_with!(of_threads, std::thread);
programs_with!(of_tasks, event_channel::thread);

/// What each program says on threads, and on tasks: begun on this thread, and in a task.
#[test]
fn a_program_says_the_same_with_our_threads() {
    limit(60, || {
        let expected: Vec<_> =
            of_threads::PROGRAMS.iter().map(|(name, program)| (*name, program())).collect();
        assert!(expected.len() >= 10 && expected.iter().all(|(_, said)| !said.is_empty()));
        let check = || {
            for ((name, program), (_, expected)) in of_tasks::PROGRAMS.iter().zip(&expected) {
                assert_eq!(program(), *expected, "{name}");
            }
        };
        check();
        each_runtime_of(&[1, 2, 8], |runtime| runtime.run(check));
    });
}

/// They were not compiled to the same twice.
#[test]
fn our_threads_are_tasks() {
    limit(60, || {
        assert!(!of_threads::is_task());
        assert!(of_tasks::is_task());
    });
}
