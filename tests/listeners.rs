//! A listener to a runtime's events is code of the program's: it may do whatever it likes, and take as long.

mod net_common;

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::runtime::PoolEvent;
use event_channel::{Runtime, task};
use net_common::{eventually, one_waits_for_the_other};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(100);

/// What only shows where a task is not a thread of its own.
fn where_tasks_migrate(seconds: u64, test: impl FnOnce()) {
    match task::why_not() {
        None => limit(seconds, test),
        Some(why) => skipped(why),
    }
}

/// Who shuts the runtime down holds what the listener waits for.
#[test]
fn a_lock_that_it_takes_may_be_held_over_a_shutdown() {
    where_tasks_migrate(30, || {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = seen.clone();
        let builder = Runtime::builder().cores(1);
        let runtime = builder.on_event(move |event| notes.lock().unwrap().push(format!("{event:?}"))).build();
        let runtime = runtime.unwrap();
        let held = seen.lock().unwrap();
        runtime.run(|| task::spawn(|| thread::sleep(SHORT)).join().unwrap());
        let began = Instant::now();
        let error = runtime.shutdown(SHORT).unwrap_err();
        // (How soon is tested in `shutdown_stuck.rs`.)
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(error.to_string().contains("listener"), "{error}");
        assert!(held.is_empty());
        drop(held);
        // It was only late.
        eventually(|| !seen.lock().unwrap().is_empty());
        runtime.shutdown(SHORT).unwrap();
    });
}

#[test]
fn while_it_blocks_cores_are_handed_over_all_the_same() {
    where_tasks_migrate(30, || {
        let (let_go, held) = mpsc::channel::<()>();
        let (held, inside) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)));
        let theirs = inside.clone();
        let builder = Runtime::builder().cores(1).on_event(move |_| {
            theirs.fetch_add(1, Ordering::SeqCst);
            let _ = held.lock().unwrap().recv();
        });
        let runtime = builder.build().unwrap();
        one_waits_for_the_other(&runtime);
        eventually(|| inside.load(Ordering::SeqCst) > 0);
        (0..20).for_each(|_| one_waits_for_the_other(&runtime));
        assert_eq!(inside.load(Ordering::SeqCst), 1);
        drop(let_go);
        runtime.shutdown(100 * SHORT).unwrap();
        assert!(inside.load(Ordering::SeqCst) > 1, "the other events come afterwards");
    });
}

/// And what it waits for is another task.
#[test]
fn it_may_wait_for_a_task() {
    where_tasks_migrate(30, || {
        let place: Arc<OnceLock<Arc<Runtime>>> = Arc::default();
        let (theirs, sums) = (place.clone(), Arc::new(AtomicUsize::new(0)));
        let told = sums.clone();
        let builder = Runtime::builder().cores(1).on_event(move |_| {
            if let Some(runtime) = theirs.get() {
                told.fetch_add(runtime.spawn(|| 1).join().unwrap_or(0), Ordering::SeqCst);
                told.fetch_add(event_channel::run(|| 1), Ordering::SeqCst);
            }
        });
        let runtime = Arc::new(builder.build().unwrap());
        assert!(place.set(runtime.clone()).is_ok());
        (0..10).for_each(|_| one_waits_for_the_other(&runtime));
        eventually(|| sums.load(Ordering::SeqCst) >= 4);
        runtime.shutdown(100 * SHORT).unwrap();
    });
}

#[test]
fn it_may_ask_for_metrics_and_for_a_dump_and_panic() {
    where_tasks_migrate(30, || {
        let place: Arc<OnceLock<Arc<Runtime>>> = Arc::default();
        let (theirs, asked) = (place.clone(), Arc::new(AtomicUsize::new(0)));
        let told = asked.clone();
        let builder = Runtime::builder().cores(1).max_threads(4).on_event(move |event| {
            if let Some(runtime) = theirs.get() {
                assert!(runtime.metrics().workers > 0);
                let words = format!("{} {event:?} {runtime:?}", runtime.dump());
                told.fetch_add(words.lines().count(), Ordering::SeqCst);
                std::panic::resume_unwind(Box::new("in a listener"));
            }
        });
        let runtime = Arc::new(builder.build().unwrap());
        assert!(place.set(runtime.clone()).is_ok());
        for round in 0..10 {
            one_waits_for_the_other(&runtime);
            eventually(|| asked.load(Ordering::SeqCst) > 2 * round);
        }
        runtime.shutdown(100 * SHORT).unwrap();
    });
}

#[test]
fn when_it_is_too_slow_it_is_told_how_much_it_has_missed() {
    where_tasks_migrate(120, || {
        let (let_go, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let counts: Arc<[AtomicUsize; 2]> = Arc::default();
        let theirs = counts.clone();
        let builder = Runtime::builder().cores(1).on_event(move |event| {
            let _ = held.lock().unwrap().recv();
            match event {
                PoolEvent::HandedOver { .. } => theirs[0].fetch_add(1, Ordering::SeqCst),
                PoolEvent::Missed { events } => theirs[1].fetch_add(*events as usize, Ordering::SeqCst),
                _ => 0,
            };
        });
        let runtime = builder.build().unwrap();
        while runtime.metrics().handed_over < 1_500 {
            one_waits_for_the_other(&runtime);
        }
        drop(let_go);
        let metrics = runtime.metrics();
        eventually(|| counts[1].load(Ordering::SeqCst) > 0);
        let all = metrics.handed_over + metrics.grown + metrics.shrunk;
        eventually(|| {
            let [told, missed] = [&counts[0], &counts[1]].map(|count| count.load(Ordering::SeqCst) as u64);
            // (At least half of the room is for events, the other half may be full of lines for the log.)
            told >= 500 && told + missed >= metrics.handed_over && told + missed <= all
        });
        runtime.shutdown(100 * SHORT).unwrap();
    });
}
