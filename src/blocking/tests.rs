//! Helpers of a test's own, with another bound than those of the process.

use super::run_on;
use crate::channel::Driver;
use crate::task::JoinHandle;
use crate::{Cancelled, Runtime, task, time};
use ec_channel::helpers::{Helpers, Here, Job};
use ec_tasks::WaitKind;
use ec_test_support::{limit, skipped};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

static KIND: WaitKind = WaitKind { name: "a helper", cancel: None, describe: |_, _| String::new() };

fn helpers(most: usize, keep: Duration) -> &'static Helpers {
    Box::leak(Box::new(Helpers::new(most, keep)))
}

fn each_driver(test: impl Fn(&Runtime)) {
    for driver in Driver::ALL {
        match Runtime::builder().cores(2).driver(driver).build() {
            Ok(runtime) => limit(60, || test(&runtime)),
            Err(error) => skipped(&format!("{driver}: {error}")),
        }
    }
}

fn eventually(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// What jobs wait at, and how many do.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        while !state.1 {
            state = self.changed.wait(state).unwrap();
        }
        state.0 -= 1;
    }

    fn inside(&self) -> usize {
        self.state.lock().unwrap().0
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

fn slow(runtime: &Runtime, on: &'static Helpers, gate: &Arc<Gate>) -> JoinHandle<io::Result<()>> {
    let gate = gate.clone();
    runtime.spawn(move || run_on(on, &KIND, move || gate.pass()))
}

/// Counts what became of closures.
#[derive(Default)]
struct Fates {
    run: AtomicUsize,
    dropped: AtomicUsize,
}

struct Held(Arc<Fates>);

impl Drop for Held {
    fn drop(&mut self) {
        // As any destructor may.
        task::yield_now();
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn counted(on: &'static Helpers, fates: &Arc<Fates>) -> io::Result<()> {
    let held = Held(fates.clone());
    run_on(on, &KIND, move || {
        held.0.run.fetch_add(1, Ordering::SeqCst);
    })
}

#[test]
fn at_the_bound_a_job_waits_and_one_that_is_given_up_is_dropped_unrun() {
    each_driver(|runtime| {
        let (on, gate, fates) =
            (helpers(2, Duration::from_secs(60)), Arc::default(), Arc::<Fates>::default());
        let stuck = [slow(runtime, on, &gate), slow(runtime, on, &gate)];
        eventually(|| gate.inside() == 2);
        let given_up: Vec<_> = (0..50)
            .map(|index| {
                let fates = fates.clone();
                runtime.spawn(move || match index % 2 {
                    0 => time::timeout(Duration::from_millis(5), || counted(on, &fates)),
                    _ => counted(on, &fates),
                })
            })
            .collect();
        eventually(|| on.queued() >= 25);
        let living = runtime.spawn(move || run_on(on, &KIND, || 7));
        for (index, task) in given_up.into_iter().enumerate() {
            if index % 2 == 1 {
                task.cancel();
            }
            let error = task.join().unwrap().unwrap_err();
            assert!(Cancelled::is(&error) || error.kind() == ErrorKind::TimedOut, "{error}");
        }
        // Those that ran are stuck still.
        assert_eq!((gate.inside(), on.threads()), (2, 2));
        assert_eq!((fates.run.load(Ordering::SeqCst), fates.dropped.load(Ordering::SeqCst)), (0, 50));
        eventually(|| on.queued() == 1);
        gate.open();
        assert_eq!(living.join().unwrap().unwrap(), 7);
        assert!(stuck.into_iter().all(|task| task.join().unwrap().is_ok()));
    });
}

#[test]
fn helpers_grow_while_all_are_busy_and_shrink_when_they_are_not() {
    each_driver(|runtime| {
        let (on, gate) = (helpers(100, Duration::from_millis(100)), Arc::default());
        let stuck: Vec<_> = (0..64).map(|_| slow(runtime, on, &gate)).collect();
        let quick = runtime.spawn(move || run_on(on, &KIND, || 7));
        assert_eq!(quick.join().unwrap().unwrap(), 7);
        eventually(|| gate.inside() == 64);
        assert!(on.threads() <= 65, "{}", on.threads());
        gate.open();
        assert!(stuck.into_iter().all(|task| task.join().unwrap().is_ok()));
        // A job now and then needs one of them.
        runtime.run(|| eventually(|| run_on(on, &KIND, || ()).is_ok() && on.threads() <= 2));
        eventually(|| on.threads() == 0);
    });
}

#[test]
fn a_panic_of_a_job_comes_out_where_it_is_waited_for() {
    each_driver(|runtime| {
        let on = helpers(1, Duration::from_millis(1));
        let waits = runtime.spawn(move || run_on(on, &KIND, || panic!("in the job")).map(|()| 1));
        assert_eq!(waits.join().unwrap_err().downcast_ref(), Some(&"in the job"));
        // With nobody there it goes nowhere, and the helper goes on.
        let gate = Arc::<Gate>::default();
        let theirs = gate.clone();
        let leaves = runtime.spawn(move || {
            run_on(on, &KIND, move || {
                theirs.pass();
                panic!("alone")
            })
            .map(|()| 1)
        });
        eventually(|| gate.inside() == 1);
        leaves.cancel();
        assert!(leaves.join().unwrap().is_err());
        gate.open();
        assert_eq!(runtime.spawn(move || run_on(on, &KIND, || 7)).join().unwrap().unwrap(), 7);
    });
}

#[test]
fn a_job_of_an_abandoned_task_is_dropped_unrun() {
    if !task::migrates() {
        return skipped("here each task is a thread, which is not abandoned in this wait");
    }
    each_driver(|runtime| {
        let (on, gate, fates) =
            (helpers(1, Duration::from_secs(60)), Arc::default(), Arc::<Fates>::default());
        let stuck = slow(runtime, on, &gate);
        eventually(|| gate.inside() == 1);
        // On a runtime of one thread, which is blocked when it ends.
        let other = Runtime::builder().cores(1).without_monitor().build().unwrap();
        let theirs = fates.clone();
        let abandoned = other.spawn(move || counted(on, &theirs));
        eventually(|| on.queued() == 1);
        let hog = Arc::<Gate>::default();
        let theirs = hog.clone();
        drop(other.spawn(move || theirs.pass()));
        eventually(|| hog.inside() == 1);
        assert!(other.shutdown(Duration::ZERO).is_err());
        hog.open();
        gate.open();
        stuck.join().unwrap().unwrap();
        assert_eq!(runtime.spawn(move || run_on(on, &KIND, || 7)).join().unwrap().unwrap(), 7);
        assert_eq!((fates.run.load(Ordering::SeqCst), fates.dropped.load(Ordering::SeqCst)), (0, 1));
        assert!(!abandoned.is_finished());
    });
}

/// What a job's own destructor does is its own affair.
#[test]
fn a_helper_survives_what_unwinds() {
    struct Unkind;
    impl Job for Unkind {
        fn run(&self, _here: &Here) {
            panic!("in run");
        }

        fn refused(&self, _why: &io::Error) {
            panic!("in refused");
        }
    }
    impl Drop for Unkind {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    limit(60, || {
        let on = helpers(1, Duration::from_millis(1));
        (0..10).for_each(|_| _ = on.submit(Arc::new(Unkind)));
        eventually(|| on.queued() == 0 && on.threads() == 0);
    });
}
