//! Closures run by helper threads.

use crate::common::each_driver;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub static ROW: Row = Row {
    kind: EventKind::Work,
    on_descriptor: true,
    completes: Cell::Can { make: seven, allowed: &[Outcome::Done] },
    fails: Cell::Cannot("what a closure gives is no errno"),
    // It waits for nobody: a cancel comes before it has begun, or too late.
    cancelled: Cell::Can { make: seven, allowed: &[Outcome::Done, Outcome::Cancelled] },
    races: Cell::Can { make: seven, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: seven, allowed: &[Outcome::Done, Outcome::Cancelled] },
    inputs: &[
        Input { words: "it panics", make: panics, gives: Ok(0) },
        Input { words: "its limit is far", make: limited, gives: Ok(0) },
    ],
};

/// It is run, or it is not, as the outcome says.
fn seven() -> Scene {
    let run = Arc::new(AtomicUsize::new(0));
    let counted = run.clone();
    Scene::new(Request::work(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        7
    }))
    .check(move |got, outcome| {
        let given = got.event.as_mut().and_then(|event| event.take_work::<i32>()).map(Result::unwrap);
        let due = if outcome == Outcome::Done { (Some(7), 1) } else { (None, 0) };
        let is = (given, run.load(Ordering::SeqCst));
        ensure(is == due, || format!("{is:?} in place of {due:?}"))
    })
}

fn panics() -> Scene {
    Scene::new(Request::work(panic_any_seven)).check(|got, _| {
        let event = got.event.as_mut().ok_or("no event")?;
        let panic = event.take_work::<()>().ok_or("it was not run")?.expect_err("it panics");
        ensure(panic.downcast_ref() == Some(&7), || "another panic".to_owned())
    })
}

fn panic_any_seven() {
    std::panic::resume_unwind(Box::new(7));
}

fn limited() -> Scene {
    Scene::new(Request::work(|| ()).within(Duration::MAX))
}

#[test]
fn work_runs_elsewhere_and_its_result_comes_back() {
    limit(30, || {
        each_driver(|channel| {
            let here = std::thread::current().id();
            channel.post(Request::work(move || std::thread::current().id() != here)).unwrap();
            let mut event = channel.get_event().unwrap();
            // Of another type: it stays.
            assert!(event.take_work::<String>().is_none());
            assert!(event.take_work::<bool>().unwrap().unwrap());
            assert!(event.take_work::<bool>().is_none());
            channel.post(event.again()).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.failure().unwrap().errno(), libc::EINVAL);
        })
    });
}

#[test]
fn work_that_has_begun_is_not_stopped() {
    limit(30, || {
        each_driver(|channel| {
            let (begun, begins) = mpsc::channel();
            let (end, ends) = mpsc::channel();
            let id = channel
                .post(Request::work(move || {
                    begun.send(()).unwrap();
                    ends.recv().unwrap();
                    "done"
                }))
                .unwrap();
            assert!(channel.try_get_event().unwrap().is_none());
            begins.recv().unwrap();
            assert!(channel.cancel(id));
            assert!(channel.get_event_timeout(Duration::from_millis(20)).unwrap().is_none());
            end.send(()).unwrap();
            let mut event = channel.get_event().unwrap();
            assert_eq!(event.take_work::<&str>().unwrap().unwrap(), "done");
        })
    });
}

/// Also what drives channels: it posts and gets itself.
#[test]
fn work_may_use_the_channel() {
    limit(30, || {
        each_driver(|channel| {
            let channel = Arc::new(channel);
            let theirs = Arc::downgrade(&channel);
            channel
                .post(Request::work(move || {
                    let channel = theirs.upgrade().unwrap();
                    channel.post(Request::notification().token(5)).is_ok()
                }))
                .unwrap();
            let mut tokens = [channel.get_event().unwrap().token(), channel.get_event().unwrap().token()];
            tokens.sort();
            assert_eq!(tokens, [0, 5]);
        })
    });
}
