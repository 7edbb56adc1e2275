//! Oneshots.

use crate::explore;
use crate::sync::base::face::{Sleeper, Stop, WaitKind};
use crate::sync::base::waiters::How;
use crate::sync::channel::core::Failed;
use crate::sync::oneshot::core::Core;
use ec_test_support::limit;
use loom::sync::Arc;
use loom::thread;

static WAIT: WaitKind = WaitKind { name: "wait", cancel: None, describe: |_, _| String::new() };

fn point() -> How {
    How { point: true, ..How::new(&WAIT, 0) }
}

#[test]
fn the_value_comes_or_none_does() {
    limit(120, || {
        for sends in [true, false] {
            let ends = explore(3, move || {
                let core = Arc::new(Core::new());
                let theirs = core.clone();
                let sender = thread::spawn(move || {
                    if sends {
                        theirs.send(1).unwrap();
                    }
                    theirs.sender_goes();
                });
                let got = core.recv(point());
                sender.join().unwrap();
                got.ok()
            });
            assert_eq!(ends, [sends.then_some(1)]);
        }
    });
}

#[test]
fn who_is_cancelled_has_taken_nothing() {
    limit(120, || {
        let ends = explore(3, || {
            let core = Arc::new(Core::new());
            let me = Sleeper::new();
            me.be();
            let (theirs, victim) = (core.clone(), me.clone());
            let sender = thread::spawn(move || {
                victim.cancel();
                theirs.send(1).unwrap();
            });
            let first = core.recv(point());
            sender.join().unwrap();
            match first {
                Ok(1) => true,
                Err(Failed::Stopped(Stop::Cancel)) => {
                    assert!(matches!(core.take(), Some(Ok(1))));
                    false
                }
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn the_sender_hears_that_the_receiver_is_gone_and_the_value_is_nowhere_or_dropped() {
    limit(120, || {
        let ends = explore(3, || {
            let core = Arc::new(Core::new());
            let (theirs, other) = (core.clone(), core.clone());
            let receiver = thread::spawn(move || theirs.receiver_goes());
            let waits = thread::spawn(move || other.wait_closed(point()).unwrap());
            let sent = core.send(1);
            let dropped = receiver.join().unwrap();
            waits.join().unwrap();
            assert_eq!(sent.is_ok(), dropped.is_some());
            sent.is_ok()
        });
        assert_eq!(ends, [false, true]);
    });
}
