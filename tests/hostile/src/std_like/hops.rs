//! The frame itself: the suite is worth something only if its tasks move (or stay) as they should.

use crate::check::Check;
use crate::support::{hop_staying, hops, many, runtime, tasks};
use event_channel::task;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("a_task_hops_in_every_way", a_task_hops_in_every_way),
    Check::new("a_lone_task_hops_too", a_lone_task_hops_too),
    Check::new("a_dedicated_task_stays_among_hopping_ones", a_dedicated_task_stays_among_hopping_ones),
    Check::new(
        "whether_tasks_migrate_may_first_be_asked_in_a_dedicated_task",
        first_asked_in_a_dedicated_task,
    ),
    Check::new("whether_tasks_migrate_may_first_be_asked_in_a_lean_task", first_asked_in_a_lean_task),
];

fn a_task_hops_in_every_way() {
    tasks(many(1000), |_| hops(48));
}

fn a_lone_task_hops_too() {
    tasks(1, |_| hops(200));
}

fn a_dedicated_task_stays_among_hopping_ones() {
    let stayers: Vec<_> = (0..20)
        .map(|_| {
            let dedicated = task::Builder::new().dedicated();
            let body = || (0..100).for_each(|_| hop_staying());
            runtime().spawn_with(dedicated, body).expect("a dedicated task")
        })
        .collect();
    tasks(many(200), |_| hops(50));
    stayers.into_iter().for_each(|task| task.join().expect("it stays"));
}

/// The first question has the runtime find out; that runs wherever it is asked.
fn first_asked_in_a_dedicated_task() {
    let body = || (task::migrates(), task::spawn(task::migrates).join().ok());
    let dedicated = task::Builder::new().dedicated().spawn(body).expect("a dedicated task");
    assert_eq!(dedicated.join().expect("an answer"), (task::migrates(), Some(task::migrates())));
}

fn first_asked_in_a_lean_task() {
    // SAFETY: the task holds nothing tied to its thread when it waits.
    let lean = unsafe {
        task::Builder::new().spawn_lean(|| (task::migrates(), task::spawn(task::migrates).join().ok()))
    };
    let answer = lean.expect("a lean task").join().expect("an answer");
    assert_eq!(answer, (task::migrates(), Some(task::migrates())));
}
