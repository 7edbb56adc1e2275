//! What the application says to itself.

use crate::SOON;
use crate::common::each_driver;
use crate::row::{Cell, Input, Outcome, Row, Scene};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

pub static ROW: Row = Row {
    kind: EventKind::Notification,
    on_descriptor: false,
    completes: Cell::Can { make: said, allowed: &[Outcome::Done] },
    fails: Cell::Cannot("nothing can go wrong with what is complete as it is posted"),
    // Each cancel comes too late.
    cancelled: Cell::Can { make: said, allowed: &[Outcome::Done] },
    races: Cell::Can { make: said, allowed: &[Outcome::Done] },
    shut_down: Cell::Can { make: said, allowed: &[Outcome::Done] },
    inputs: &[
        Input {
            words: "a limit",
            make: || Scene::new(Request::notification().within(Duration::ZERO)),
            gives: Ok(0),
        },
        Input { words: "with a context and a limit", make: in_a_box, gives: Ok(0) },
        Input {
            words: "for all, and one waits",
            make: || Scene::new(Request::notification().wake_all()),
            gives: Ok(0),
        },
    ],
};

fn said() -> Scene {
    Scene::new(Request::notification())
}

fn in_a_box() -> Scene {
    Scene::new(Request::notification().context(Box::new(1)).within(Duration::ZERO))
}

#[test]
fn a_notification_is_complete_as_it_is_posted() {
    limit(30, || {
        each_driver(|channel| {
            channel.post(Request::notification().token(3).context(Box::new("mine"))).unwrap();
            let mut event = channel.try_get_event().unwrap().expect("it is there");
            assert_eq!(event.token(), 3);
            assert_eq!(*event.take_context().unwrap().downcast::<&str>().unwrap(), "mine");
        })
    });
}

#[test]
fn a_notification_wakes_one_of_many_and_all_when_asked() {
    limit(30, || {
        each_driver(|channel| {
            let (told, heard) = mpsc::channel();
            let over = AtomicU64::new(0);
            std::thread::scope(|s| {
                for _ in 0..4 {
                    let (channel, over, told) = (&channel, &over, told.clone());
                    s.spawn(move || {
                        while let Ok(event) = channel.get_event() {
                            told.send(event.token()).unwrap();
                            // until the round is over, so that what is for all comes to each once
                            while over.load(Ordering::SeqCst) < event.token() {
                                std::thread::yield_now();
                            }
                        }
                    });
                }
                channel.post(Request::notification()).unwrap();
                assert_eq!(heard.recv().unwrap(), 0);
                assert!(heard.recv_timeout(SOON).is_err(), "it was for one");
                // It comes to those who wait at this moment: again until those are all four.
                for round in 1.. {
                    let before = channel.metrics().posted;
                    channel.post(Request::notification().token(round).wake_all()).unwrap();
                    let reached = channel.metrics().posted - before;
                    assert!(reached <= 4, "{reached} events for four who wait");
                    (0..reached).for_each(|_| assert_eq!(heard.recv().unwrap(), round));
                    assert!(heard.try_recv().is_err());
                    over.store(round, Ordering::SeqCst);
                    if reached == 4 {
                        break;
                    }
                }
                channel.shutdown();
            });
        })
    });
}

#[test]
fn each_notification_finds_a_waiter_and_wakes_no_more_than_two() {
    limit(60, || {
        each_driver(|channel| {
            let rounds = 2_000;
            let (told, heard) = std::sync::mpsc::channel();
            std::thread::scope(|s| {
                for _ in 0..4 {
                    let (channel, told) = (&channel, told.clone());
                    s.spawn(move || {
                        while channel.get_event().is_ok() {
                            told.send(()).unwrap();
                        }
                    });
                }
                for _ in 0..rounds {
                    channel.post(Request::notification()).unwrap();
                    heard.recv().unwrap();
                }
                // one to take the event, and one to lead where the leader took it
                let wakeups = channel.metrics().wakeups;
                assert!(wakeups <= 2 * rounds, "{wakeups} for {rounds} events");
                channel.shutdown();
            });
        })
    });
}
