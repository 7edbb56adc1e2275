//! What can be seen of tasks from outside.
#![cfg(not(loom))]

mod common;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Workers, migrating, until};
use ec_tasks::{
    Kind, SpawnOptions, TaskState, Tokens, WaitKind, begin_wait, coarse, end_wait, park, suspend, tasks_of,
    with_scope_cell, yield_now,
};
use ec_test_support::limit;
use ec_unkind as _;

static READ: WaitKind = WaitKind {
    name: "read",
    cancel: None,
    describe: |token, detail| format!("fd {detail}, request {token}"),
};

#[test]
fn every_task_is_listed_with_what_it_does() {
    limit(20, || {
        let start = Instant::now();
        let workers = Workers::new(2);
        let other = Workers::new(1);
        let elsewhere = other.spawn(park);
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let runs = workers.spawn_with(SpawnOptions::new().name("runs"), move || {
            while !flag.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let reads = workers.spawn_with(SpawnOptions::new().name("reads"), || {
            begin_wait(&READ, 9, 7);
            suspend(Tokens::SYNC);
            end_wait();
        });
        let parks = workers.spawn(park);
        let list = || tasks_of(&*workers.queue);
        until(|| {
            let list = list();
            list[0].state == TaskState::Running
                && list[1].state == TaskState::Suspended
                && list[2].state == TaskState::Suspended
        });
        let list = list();
        assert_eq!(list.len(), 3);
        assert_eq!(list[0].name.as_deref(), Some("runs"));
        assert_eq!((list[0].waits_for.as_deref(), list[0].since), (None, None));
        assert_eq!(list[1].waits_for.as_deref(), Some("read: fd 7, request 9"));
        // The clock behind it is a coarse one.
        assert!(list[1].since.unwrap() < start.elapsed() + Duration::from_millis(100));
        assert_eq!((list[1].kind, list[1].cancelled), (migrating(Kind::Own), false));
        assert_eq!((list[2].name.as_deref(), list[2].waits_for.as_deref()), (None, Some("unpark")));
        assert_eq!(list[2].id, parks.task().id());
        stop.store(true, Ordering::Relaxed);
        reads.task().wake(Tokens::SYNC);
        parks.task().unpark();
        elsewhere.task().unpark();
        for task in [runs, reads, parks, elsewhere] {
            task.join().unwrap();
        }
        assert!(tasks_of(&*workers.queue).is_empty());
    });
}

/// A park reads no clock: its time is that of the last tick before it.
#[test]
fn a_parked_task_has_the_time_of_the_last_tick() {
    limit(20, || {
        let workers = Workers::new(1);
        // The tick is the process's: a logger may have a runtime, which ticks. Then it says nothing, and there is another attempt.
        while !parks_after_a_tick(&workers) {}
    });
}

/// False: somebody else has ticked meanwhile.
fn parks_after_a_tick(workers: &Workers) -> bool {
    let tick = coarse::tick();
    while coarse::now() < tick + 50 {
        std::thread::yield_now();
    }
    let parks = workers.spawn(park);
    let dedicated = workers.spawn_with(SpawnOptions::new().kind(Kind::Dedicated), park);
    let info = |task: &ec_tasks::Task| task.info();
    until(|| info(parks.task()).since.is_some() && info(dedicated.task()).state == TaskState::Suspended);
    let (parked, since) = (info(parks.task()), info(dedicated.task()).since.unwrap());
    let nobody_else = coarse::last_tick() == tick;
    if nobody_else {
        assert!(parked.kind != Kind::Own || parked.since.unwrap() >= Duration::from_millis(50));
        assert!(
            since + Duration::from_millis(50) <= coarse::since(tick),
            "its thread has read the clock itself"
        );
    }
    for task in [parks, dedicated] {
        task.task().unpark();
        task.join().unwrap();
    }
    nobody_else
}

/// Listing while tasks come and go: whatever is listed is alive.
#[test]
fn tasks_may_come_and_go_meanwhile() {
    limit(60, || {
        let workers = Workers::new(2);
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(AtomicBool::new(false));
        let lister = {
            let stop = stop.clone();
            let queue = workers.queue.clone();
            let seen = seen.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let list = tasks_of(&*queue);
                    assert!(list.iter().all(|task| task.name.as_deref() == Some("short")));
                    if !list.is_empty() {
                        seen.store(true, Ordering::Relaxed);
                    }
                }
            })
        };
        let mut rounds = 0;
        while rounds < 300 || !seen.load(Ordering::Relaxed) {
            rounds += 1;
            let short = || SpawnOptions::new().name("short");
            let tasks: Vec<_> = (0..50).map(|_| workers.spawn_with(short(), yield_now)).collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        lister.join().unwrap();
    });
}

fn scope_cell<R>(f: impl FnOnce(&Cell<*const ()>) -> R) -> R {
    // SAFETY: here there is no other user of the cell, and nobody follows what is in it.
    unsafe { with_scope_cell(f) }
}

#[test]
fn the_scope_cell_is_the_tasks_own() {
    limit(20, || {
        let workers = Workers::new(2);
        let tasks: Vec<_> = (1..20usize)
            .map(|number| {
                workers.spawn(move || {
                    assert!(scope_cell(|cell| cell.replace(number as *const ())).is_null());
                    for _ in 0..50 {
                        yield_now();
                        assert_eq!(scope_cell(Cell::get) as usize, number);
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert!(scope_cell(Cell::get).is_null());
    });
}
