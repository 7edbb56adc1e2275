//! What a shutdown with too little time says, and does with what is left.

mod net_common;

use ec_test_support::{limit, this_test_again, threads_and_files};
use ec_unkind as _;
use event_channel::channel::{Driver, Request};
use event_channel::{Runtime, task, time};
use net_common::build;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

fn each_driver(test: impl Fn(Runtime)) {
    limit(60, || {
        for driver in Driver::ALL {
            if let Some(runtime) = build(driver, Runtime::builder().cores(1)) {
                test(runtime);
            }
        }
    });
}

/// With a limit of its own, or with none: what was abandoned does not end any more.
#[test]
fn a_shorter_one_ends_the_wait_of_a_longer_one() {
    for grace in [Duration::from_secs(30), Duration::MAX] {
        each_driver(|runtime| {
            let runtime = Arc::new(runtime);
            let stays = runtime.spawn(|| {
                loop {
                    time::sleep(SHORT);
                }
            });
            let other = runtime.clone();
            let began = Instant::now();
            let longer = thread::spawn(move || other.shutdown(grace));
            thread::sleep(SHORT);
            let shorter = runtime.shutdown(SHORT);
            assert!(shorter.unwrap_err().to_string().contains("unnamed"));
            assert!(longer.join().unwrap().unwrap_err().to_string().contains("unnamed"));
            assert!(began.elapsed() < Duration::from_secs(20));
            drop::<task::JoinHandle<()>>(stays);
        });
    }
}

/// What a handler's event holds.
struct Holds(Arc<AtomicUsize>);

impl Drop for Holds {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn handlers_that_were_not_called_are_counted_and_let_go() {
    // (In a process of its own: descriptors are counted.)
    if let Some(mut child) = this_test_again("handlers_that_were_not_called_are_counted_and_let_go") {
        let output = limit(90, || child.output().unwrap());
        assert!(output.status.success(), "{output:?}");
        return;
    }
    ec_unkind::no_other_runtime();
    const ALL: usize = 200;
    let before = threads_and_files().1;
    each_driver(|runtime| {
        let (called, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..ALL {
            let (called, holds) = (called.clone(), Holds(dropped.clone()));
            let request = Request::notification().context(Box::new(holds)).on_complete(move |_, _| {
                called.fetch_add(1, Ordering::SeqCst);
                // (Threads that sleep would be many at once.)
                let began = Instant::now();
                while began.elapsed() < SHORT {
                    std::hint::spin_loop();
                }
            });
            runtime.channel().post(request).unwrap();
        }
        let error = runtime.shutdown(Duration::ZERO).unwrap_err().to_string();
        drop(runtime);
        assert!(error.contains("handlers of events, which were not called"), "{error}");
        assert!(called.load(Ordering::SeqCst) < ALL);
        // (One is being called, and goes with that.)
        limit(20, || {
            while dropped.load(Ordering::SeqCst) < ALL {
                thread::yield_now();
            }
        });
    });
    limit(20, || {
        while threads_and_files().1 > before {
            thread::sleep(SHORT);
        }
    });
}

/// Also of those that end at this very moment.
#[test]
fn after_one_that_went_well_every_handle_says_that_its_task_has_ended() {
    limit(60, || {
        for round in 0..200 {
            let runtime = Arc::new(Runtime::builder().cores(2).build().unwrap());
            let task = |number: u64| {
                let builder = task::Builder::new();
                let builder = if round % 2 == 0 { builder.dedicated() } else { builder };
                let body = move || time::sleep(Duration::from_micros(3 * round + number));
                runtime.spawn_with(builder, body).unwrap()
            };
            let tasks: Vec<_> = (0..6).map(task).collect();
            let theirs = runtime.clone();
            // (From a task: it joins no worker.)
            let ends = runtime.spawn(move || {
                theirs.shutdown(Duration::from_secs(20)).unwrap();
                tasks.iter().filter(|task| !task.is_finished()).count()
            });
            assert_eq!(ends.join().unwrap(), 0, "in round {round}");
        }
    });
}
