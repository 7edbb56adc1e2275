//! `EventChannel::get_event` in a task: it suspends the task, whoever drives the channel.

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::{Driver, EventChannel, Request};
use event_channel::sync::Notification;
use event_channel::time::{Duration, timeout};
use event_channel::{Cancelled, Runtime, task};
use std::io;
use std::sync::Arc;

/// Runs `f` on a runtime with one core, so that a blocked thread would show, for each driver: with the runtime's own
/// channel, and with one of the test's that nobody else drives.
fn each_channel(f: impl Fn(&EventChannel) + Send + Sync) {
    for driver in Driver::ALL {
        let runtime = match Runtime::builder().cores(1).driver(driver).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                ec_test_support::skipped(&format!("{driver}: {error}"));
                continue;
            }
        };
        let own = EventChannel::builder().driver(driver).build().expect("as the runtime's");
        runtime.run(|| f(runtime.channel()));
        runtime.run(|| f(&own));
    }
}

#[test]
fn a_task_that_waits_for_an_event_lets_others_run() {
    limit(30, || {
        each_channel(|channel| {
            let (posts, taken) = (channel.clone(), Arc::new(Notification::new()));
            let first = taken.clone();
            let poster = task::spawn(move || {
                task::sleep(Duration::from_millis(5));
                posts.post(Request::timer(Duration::from_millis(5)).token(1)).unwrap();
                // Complete together they might come in any order.
                first.wait();
                task::sleep(Duration::from_millis(5));
                posts.post(Request::notification().token(2)).unwrap();
            });
            assert_eq!(channel.get_event().unwrap().token(), 1);
            taken.post();
            assert_eq!(channel.get_event().unwrap().token(), 2);
            poster.join().unwrap();
        });
    });
}

#[test]
fn several_tasks_wait_for_one_event_each() {
    limit(30, || {
        each_channel(|channel| {
            let getters: Vec<_> = (0..5)
                .map(|_| {
                    let channel = channel.clone();
                    task::spawn(move || channel.get_event().unwrap().token())
                })
                .collect();
            for token in [1, 10, 100, 1_000, 10_000] {
                channel.post(Request::timer(Duration::from_millis(token % 7)).token(token)).unwrap();
            }
            assert_eq!(getters.into_iter().map(|getter| getter.join().unwrap()).sum::<u64>(), 11_111);
        });
    });
}

#[test]
fn time_runs_out_without_an_event() {
    limit(30, || {
        each_channel(|channel| {
            assert!(channel.get_event_timeout(Duration::from_millis(5)).unwrap().is_none());
            let error = timeout(Duration::from_millis(5), || channel.get_event()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    });
}

#[test]
fn a_cancel_is_delivered_once_and_takes_no_event_with_it() {
    limit(30, || {
        each_channel(|channel| {
            let delivered = Arc::new(Notification::new());
            let getter = {
                let (channel, delivered) = (channel.clone(), delivered.clone());
                task::spawn(move || {
                    let first = channel.get_event().unwrap_err();
                    delivered.post();
                    (Cancelled::is(&first), channel.get_event().unwrap().token())
                })
            };
            task::sleep(Duration::from_millis(5));
            getter.cancel();
            // An event that is there already would be returned instead.
            delivered.wait();
            channel.post(Request::notification().token(3)).unwrap();
            assert_eq!(getter.join().unwrap(), (true, 3));
        });
    });
}
