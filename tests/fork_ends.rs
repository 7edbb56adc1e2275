//! How a child ends that goes on, panics or exits where its parent has forked: as one of a thread of std's, and in `run`, where the task
//! stands for `main`, as one of `main`.

mod fork_common;

use ec_unkind as _;
use event_channel::Runtime;
use fork_common::{End, Place, each_driver, fork};
use std::sync::{Arc, Mutex};

/// What the child does where it was forked.
const LAST_ACTS: &[(&str, fn())] = &[
    ("return", || ()),
    ("panic", || panic!("in the child")),
    ("panic with another payload", || std::panic::resume_unwind(Box::new(7))),
    ("exit", || std::process::exit(3)),
    // SAFETY: ends the child.
    ("_exit", || unsafe { libc::_exit(4) }),
    ("abort", || std::process::abort()),
];

/// Forks at `place`. The child comes back from `act`, if at all, to what runs there.
fn end_at(place: Place, runtime: &Arc<Runtime>, act: fn()) -> End {
    let seen = Arc::new(Mutex::new(None));
    let theirs = seen.clone();
    place.call(runtime, move || {
        let end = fork(act);
        if end.is_some() {
            *theirs.lock().unwrap() = end;
        }
    });
    seen.lock().unwrap().unwrap()
}

#[test]
fn a_child_ends_as_one_of_main_or_of_a_thread() {
    each_driver("a_child_ends_as_one_of_main_or_of_a_thread", |runtime| {
        let mut wrong = Vec::new();
        // (At `Outside` the test harness goes on.)
        for place in &Place::ALL[1..] {
            for (name, act) in LAST_ACTS {
                let right = match *place {
                    Place::Run | Place::RunInATask if name.starts_with("panic") => End::Code(101),
                    _ => end_at(Place::Thread, &runtime, *act),
                };
                let end = end_at(*place, &runtime, *act);
                if end != right {
                    wrong.push(format!("{place:?}, {name}: {end:?}, not {right:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn what_the_parent_has_buffered_is_written_once() {
    let said = each_driver("what_the_parent_has_buffered_is_written_once", |runtime| {
        for place in Place::ALL {
            // `main` would write it at its end, in the child, too.
            if !matches!(place, Place::Outside | Place::Run | Place::RunInATask) {
                print!("<{place:?}>");
                assert_eq!(end_at(place, &runtime, || ()), End::Code(0), "{place:?}");
                println!();
            }
        }
    });
    for words in said {
        for place in ["Thread", "Task", "Lean", "Dedicated", "Blocking", "OnThread", "Handler", "Listener"] {
            assert_eq!(words.matches(&format!("<{place}>")).count(), 1, "{place}: {words}");
        }
    }
}
