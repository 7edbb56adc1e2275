//! Join, detach and the fate of results and panics.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Queue, Workers, in_child, start, stderr, until};
use ec_tasks::{Group, GroupNews, Outcome, Scheduler, SpawnOptions, TaskState, park, yield_now};
use ec_test_support::limit;
use ec_unkind as _;

#[test]
fn a_thread_and_a_task_can_join() {
    limit(20, || {
        let workers = Workers::new(2);
        let inner = workers.spawn(|| {
            yield_now();
            20
        });
        let outer = workers.spawn(move || inner.join().unwrap() + 1);
        assert_eq!(outer.join().unwrap(), 21);
    });
}

#[test]
fn a_joiner_that_has_to_wait_is_woken() {
    limit(20, || {
        let workers = Workers::new(2);
        let waits = workers.spawn(park);
        let wakes = waits.task().clone();
        let joiner = workers.spawn(move || waits.join().unwrap());
        until(|| joiner.task().info().waits_for.is_some());
        assert_eq!(joiner.task().info().waits_for.unwrap(), format!("join: the end of task {}", wakes.id()));
        let from_thread = std::thread::spawn(move || joiner.join().unwrap());
        wakes.unpark();
        from_thread.join().unwrap();
    });
}

/// And what it would have run is dropped before anybody learns of it; or left for good.
#[test]
fn a_task_that_is_refused_before_it_begins_gives_an_error_to_its_joiners() {
    limit(20, || {
        for (leaks, dropped) in [(false, 1), (true, 0)] {
            let (queue, holds) = (Arc::<Queue>::default(), Arc::<AtomicUsize>::default());
            let counts = Counted(holds.clone());
            let task = start(queue.clone(), SpawnOptions::new(), move || drop(counts)).unwrap();
            drop(start(queue.clone(), SpawnOptions::new(), || ()).unwrap());
            let late = start(queue.clone(), SpawnOptions::new(), || ()).unwrap();
            let theirs = holds.clone();
            let joiner = std::thread::spawn(move || (task.join(), theirs.load(Ordering::SeqCst)));
            while let Some(task) = queue.take() {
                assert!(task.refuse("not this one", leaks).is_ok());
            }
            let (result, then) = joiner.join().unwrap();
            for error in [result.unwrap_err(), late.join().unwrap_err()] {
                assert_eq!(*error.downcast::<&str>().unwrap(), "not this one");
            }
            assert_eq!((then, holds.load(Ordering::SeqCst)), (dropped, dropped));
            assert_eq!(queue.finished.load(Ordering::SeqCst), 3);
        }
    });
}

/// Its stack goes back, time and again; and nothing is said of a panic that there was not.
#[test]
fn tasks_that_are_refused_leave_nothing_behind() {
    let output = in_child("tasks_that_are_refused_leave_nothing_behind", || {
        let queue = Arc::<Queue>::default();
        let promised = |round| {
            for _ in 0..1_000 {
                let task = start(queue.clone(), SpawnOptions::new(), || ()).unwrap();
                assert!(queue.take().unwrap().refuse("not this one", round % 2 == 0).is_ok());
                drop(task);
            }
            ec_tasks::stack_stats().in_use
        };
        let first = promised(0);
        assert_eq!((first, promised(1)), (0, 0));
    });
    assert!(output.status.success(), "{output:?}");
    assert!(!stderr(&output).contains("nobody joined"), "{output:?}");
}

#[test]
fn a_task_that_has_begun_is_not_refused() {
    limit(20, || {
        let queue = Arc::<Queue>::default();
        let task = start(queue.clone(), SpawnOptions::new(), || {
            yield_now();
            7
        });
        let Outcome::Yielded(begun) = queue.take().unwrap().run() else { panic!("it yields") };
        let Err(begun) = begun.refuse("not any more", false) else { panic!("it has begun") };
        assert!(matches!(begun.run(), Outcome::Finished));
        assert_eq!(task.unwrap().join().unwrap(), 7);
    });
}

/// Many ends meet many joiners at the same moment.
#[test]
fn no_end_is_missed() {
    limit(60, || {
        let workers = Workers::new(3);
        let parent = workers.spawn({
            let scheduler = workers.scheduler();
            move || {
                for number in 0..50_000u64 {
                    let child = common::start(scheduler.clone(), SpawnOptions::new(), move || number);
                    assert_eq!(child.unwrap().join().unwrap(), number);
                }
            }
        });
        for number in 0..20_000u64 {
            assert_eq!(workers.spawn(move || number).join().unwrap(), number);
        }
        parent.join().unwrap();
    });
}

#[test]
fn join_comes_after_the_scheduler_knows_and_is_finished_tells() {
    limit(20, || {
        let workers = Workers::new(2);
        for ended in 1..=1000 {
            let task = workers.spawn(|| ());
            let id = task.task().clone();
            task.join().unwrap();
            assert_eq!(workers.queue.finished.load(Ordering::Relaxed), ended);
            assert_eq!(id.info().state, TaskState::Finished);
        }
        let task = workers.spawn(park);
        assert!(!task.is_finished());
        task.task().unpark();
        until(|| task.is_finished());
        task.join().unwrap();
    });
}

/// Counts drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_result_that_nobody_takes_is_dropped_once() {
    limit(60, || {
        let workers = Workers::new(2);
        let drops = Arc::new(AtomicUsize::new(0));
        for round in 0..10_000 {
            let value = Counted(drops.clone());
            let task = workers.spawn(move || value);
            match round % 4 {
                // Before, after and around the end.
                0 => drop(task),
                1 => {
                    until(|| task.is_finished());
                    drop(task);
                }
                2 => {
                    for _ in 0..round % 300 {
                        std::hint::spin_loop();
                    }
                    drop(task);
                }
                _ => drop(task.join().unwrap()),
            }
        }
        until(|| drops.load(Ordering::SeqCst) == 10_000);
        drop(workers);
        assert_eq!(drops.load(Ordering::SeqCst), 10_000);
    });
}

/// The record of a task goes with its last reference, and with it the scheduler.
#[test]
fn what_ended_leaks_nothing() {
    limit(20, || {
        let workers = Workers::new(2);
        let queue = Arc::downgrade(&workers.queue);
        for _ in 0..1000 {
            drop(workers.spawn(yield_now));
            workers.spawn(yield_now).join().unwrap();
        }
        until(|| workers.queue.finished.load(Ordering::Relaxed) == 2000);
        drop(workers);
        assert_eq!(queue.strong_count(), 0);
    });
}

#[test]
fn a_group_goes_with_the_last_of_its_tasks() {
    limit(20, || {
        let workers = Workers::new(2);
        let group = Arc::new(Group::new());
        let weak = Arc::downgrade(&group);
        for n in 0..100 {
            let identity = Arc::as_ptr(&workers.queue).cast();
            let queue = || -> Arc<dyn Scheduler> { workers.queue.clone() };
            // SAFETY: the closure borrows nothing, and may go to any thread.
            let task = unsafe {
                ec_tasks::spawn_in_group(identity, queue, SpawnOptions::new(), group.clone(), yield_now)
            };
            if n % 2 == 0 {
                task.unwrap().join().unwrap();
            }
        }
        while !matches!(group.wait(), GroupNews::Over) {}
        drop(group);
        until(|| weak.strong_count() == 0);
    });
}

/// It is in the task's list no longer than it follows.
#[test]
fn a_group_that_has_followed_a_task_goes_before_the_task() {
    limit(20, || {
        let workers = Workers::new(2);
        let task = workers.spawn(|| {
            let groups = || (0..5).map(|_| Arc::new(Group::new())).collect::<Vec<_>>();
            let all: [Vec<Arc<Group>>; 2] = [groups(), groups()];
            let weak: Vec<_> = all.iter().flatten().map(Arc::downgrade).collect();
            let (first, second) = (&all[0], &all[1]);
            // In the order in which they have begun, and in the other one.
            let mut following: Vec<_> = first.iter().map(Group::follow).collect();
            let mut later: Vec<_> = second.iter().map(Group::follow).collect();
            assert!(following.iter().all(Option::is_some));
            following.drain(..).for_each(drop);
            while later.pop().is_some() {}
            drop((following, later));
            drop(all);
            weak.iter().map(std::sync::Weak::strong_count).sum::<usize>()
        });
        assert_eq!(task.join().unwrap(), 0);
        let group = Arc::new(Group::new());
        assert!(group.follow().is_none(), "a plain thread");
    });
}

/// The result of a detached task is dropped on the task, where its destructor may wait.
#[test]
fn a_detached_result_may_suspend_while_it_is_dropped() {
    struct Waits(Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let in_task = ec_tasks::current().is_some();
            yield_now();
            self.0.store(1 + usize::from(in_task), Ordering::SeqCst);
        }
    }
    limit(20, || {
        let workers = Workers::new(1);
        let seen = Arc::new(AtomicUsize::new(0));
        let result = Waits(seen.clone());
        let task = workers.spawn(move || {
            park();
            result
        });
        let wakes = task.task().clone();
        drop(task);
        wakes.unpark();
        until(|| seen.load(Ordering::SeqCst) != 0);
        assert_eq!(seen.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_closure_may_be_of_any_size() {
    fn task_of<const SIZE: usize>(workers: &Workers) {
        let bytes = [7u8; SIZE];
        assert_eq!(
            workers.spawn(move || bytes.iter().map(|byte| usize::from(*byte)).sum()).join().ok(),
            Some(7 * SIZE)
        );
    }
    limit(20, || {
        let workers = Workers::new(1);
        task_of::<0>(&workers);
        task_of::<900>(&workers);
        task_of::<960>(&workers);
        task_of::<961>(&workers);
        task_of::<1_017>(&workers);
        task_of::<1_500>(&workers);
        task_of::<2_048>(&workers);
        task_of::<100_000>(&workers);
    });
}

#[test]
fn a_panic_comes_out_of_join_with_its_payload() {
    limit(20, || {
        let workers = Workers::new(1);
        let task = workers.spawn(|| std::panic::resume_unwind(Box::new(17u8)));
        let joined: std::thread::Result<()> = task.join();
        assert_eq!(*joined.unwrap_err().downcast::<u8>().unwrap(), 17);
        // The worker lives.
        assert_eq!(workers.spawn(|| 1).join().unwrap(), 1);
    });
}

/// A value whose destructor panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[test]
fn no_destructor_kills_a_worker() {
    limit(20, || {
        let workers = Workers::new(1);
        // The result, dropped by the task; the panic's payload; what the closure holds.
        drop(workers.spawn(|| Bomb));
        drop(workers.spawn(|| std::panic::resume_unwind(Box::new(Bomb))));
        let held = Bomb;
        let task = workers.spawn(move || {
            let _held = &held;
        });
        assert!(task.join().is_err());
        // The result, dropped by the handle.
        let task = workers.spawn(|| Bomb);
        until(|| task.is_finished());
        drop(task);
        assert_eq!(workers.spawn(|| 1).join().unwrap(), 1);
    });
}

#[test]
fn a_panic_is_reported_with_the_tasks_name() {
    let output = in_child("a_panic_is_reported_with_the_tasks_name", || {
        let workers = Workers::new(1);
        let named = SpawnOptions::new().name("baker");
        let task = workers.spawn_with(named, || panic!("no {}", "flour"));
        assert!(task.join().is_err());
    });
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("task 'baker' (id 1) panicked: no flour\n"), "{text}");
}

#[test]
fn a_panic_is_reported_once_and_whether_it_is_to_be_joined() {
    let output = in_child("a_panic_is_reported_once_and_whether_it_is_to_be_joined", || {
        let workers = Workers::new(1);
        // The handle goes before the panic; then after it.
        let task = workers.spawn_with(SpawnOptions::new().name("early"), || {
            park();
            panic!("one")
        });
        let wakes = task.task().clone();
        drop(task);
        wakes.unpark();
        let task = workers.spawn_with(SpawnOptions::new().name("late"), || panic!("two"));
        until(|| task.is_finished());
        drop(task);
        until(|| workers.queue.finished.load(Ordering::Relaxed) == 2);
    });
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("task 'early' (id 1) panicked: one, and nobody joins it\n"), "{text}");
    assert!(text.contains("task 'late' (id 2) panicked: two\n"), "{text}");
    assert_eq!(text.matches("task 'late'").count(), 1, "{text}");
}

#[test]
fn a_task_does_not_wait_for_its_own_end() {
    limit(20, || {
        let workers = Workers::new(1);
        let (gives, takes) = std::sync::mpsc::channel::<ec_tasks::JoinHandle<()>>();
        let (says, hears) = std::sync::mpsc::channel();
        let task = workers.spawn(move || {
            let me = loop {
                match takes.try_recv() {
                    Ok(me) => break me,
                    Err(_) => ec_tasks::yield_now(),
                }
            };
            // It panics, as std's does.
            let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| me.join()));
            says.send(joined.is_err()).unwrap();
        });
        gives.send(task).unwrap();
        assert!(hears.recv().unwrap());
    });
}
