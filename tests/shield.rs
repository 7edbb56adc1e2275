//! `task::shield`: what comes meanwhile is delivered behind it.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::{EventChannel, Request};
use event_channel::net::UdpSocket;
use event_channel::sync::Notification;
use event_channel::task::{CancelToken, check, shield};
use event_channel::time::{Duration, Instant, sleep, sleep_cancellable, timeout};
use event_channel::{Runtime, is_cancelled, is_deadline, is_read_timeout, task};
use net_common::{each_run, each_runtime, each_runtime_of, eventually, until_waiting};
use std::io;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::thread;

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

/// Runs `test` on a plain thread, and as the main task of each runtime.
fn everywhere(test: fn()) {
    thread::spawn(test).join().unwrap();
    each_run(test);
}

fn receive(socket: &UdpSocket) -> io::Result<usize> {
    socket.recv(&mut [0; 10])
}

type Waits = fn() -> io::Result<()>;

/// Calls that come back by themselves, and are points. With what a dump says of them.
const POINTS: [(&str, Waits); 5] = [
    ("sleep", || sleep_cancellable(2 * SHORT)),
    ("park", || task::park_timeout_cancellable(2 * SHORT)),
    ("notification", || Notification::new().wait_timeout_cancellable(2 * SHORT).map(drop)),
    ("recv: descriptor", || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(2 * SHORT))?;
        receive(&socket).map(drop).or_else(|error| if is_read_timeout(&error) { Ok(()) } else { Err(error) })
    }),
    ("get_event", || {
        let channel = EventChannel::builder().ports(1).build()?;
        channel.post(Request::timer(2 * SHORT))?;
        channel.get_event().map(drop)
    }),
];

#[test]
fn a_cancel_of_a_shielded_wait_comes_behind_the_shield() {
    limit(120, || {
        each_runtime(|runtime| {
            for (what, call) in POINTS {
                for kind in [task::Builder::new(), task::Builder::new().dedicated()] {
                    let (waited, waits) = (Arc::new(Notification::new()), Arc::new(Notification::new()));
                    let (seen, cancelled) = (waited.clone(), waits.clone());
                    let task = runtime.spawn_with(kind, move || {
                        shield(|| {
                            let mut calls = 0;
                            while !task::is_cancelled() {
                                call().unwrap();
                                calls += 1;
                            }
                            cancelled.wait();
                            call().unwrap();
                            check().unwrap();
                            seen.post();
                            calls
                        });
                        assert!(is_cancelled(&check().unwrap_err()), "{what}");
                        check().expect("once");
                        assert!(task::is_cancelled());
                    });
                    let task = task.unwrap();
                    until_waiting(runtime, what);
                    task.cancel();
                    waits.post();
                    waited.wait();
                    task.join().unwrap();
                }
            }
        });
    });
}

#[test]
fn a_deadline_around_a_shield_comes_behind_it_and_one_inside_at_once() {
    limit(60, || {
        everywhere(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(SHORT)).unwrap();
            timeout(Duration::ZERO, || {
                shield(|| {
                    assert!(is_read_timeout(&receive(&socket).unwrap_err()), "its own limit counts");
                    sleep_cancellable(SHORT).unwrap();
                    check().unwrap();
                    timeout(Duration::ZERO, || {
                        assert!(is_deadline(&check().unwrap_err()), "the inner one");
                        check().expect("the outer one is shielded");
                        shield(|| check().unwrap());
                    });
                });
                assert!(is_deadline(&check().unwrap_err()), "the outer one");
                check().unwrap();
            });
            // One that ends with the shield is not delivered.
            timeout(Duration::ZERO, || shield(|| sleep(SHORT)));
            check().unwrap();
        });
    });
}

#[test]
fn shields_nest_and_end_by_a_panic() {
    limit(60, || {
        everywhere(|| {
            timeout(Duration::ZERO, || {
                shield(|| {
                    shield(|| check().unwrap());
                    check().expect("still in one");
                    let panic = catch_unwind(|| shield(|| panic!("on purpose")));
                    assert!(panic.is_err());
                    check().expect("still in one");
                });
                assert!(is_deadline(&check().unwrap_err()));
            });
            timeout(Duration::ZERO, || {
                assert!(catch_unwind(|| shield(|| panic!("on purpose"))).is_err());
                assert!(is_deadline(&check().unwrap_err()));
            });
        });
    });
}

#[test]
fn a_token_counts_inside_of_a_shield_if_it_was_entered_there() {
    limit(60, || {
        everywhere(|| {
            let token = CancelToken::new();
            token.cancel();
            token.enter(|| {
                shield(|| {
                    check().unwrap();
                    assert!(task::is_cancelled(), "it is seen");
                    let inner = CancelToken::new();
                    inner.enter(|| {
                        inner.cancel();
                        assert!(is_cancelled(&check().unwrap_err()));
                        check().unwrap();
                    });
                    // The same one as around: delivered here, and outside of the shield once more.
                    token.enter(|| assert!(is_cancelled(&check().unwrap_err())));
                });
                assert!(is_cancelled(&check().unwrap_err()));
                check().unwrap();
            });
        });
        // And the task's own cancel is not taken for the inner token's.
        each_runtime(|runtime| {
            let cancelled = Arc::new(Notification::new());
            let theirs = cancelled.clone();
            let task = runtime.spawn(move || {
                theirs.wait();
                let token = CancelToken::new();
                token.cancel();
                shield(|| {
                    token.enter(|| {
                        assert!(is_cancelled(&sleep_cancellable(LONG).unwrap_err()));
                        check().unwrap();
                    });
                });
                assert!(is_cancelled(&check().unwrap_err()));
            });
            task.cancel();
            cancelled.post();
            task.join().unwrap();
        });
    });
}

#[test]
fn a_shutdown_waits_for_a_shield_as_long_as_its_grace() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let begun = Arc::new(Notification::new());
            let theirs = begun.clone();
            let ends = runtime.spawn(move || {
                shield(|| {
                    theirs.post();
                    while !task::is_cancelled() {
                        sleep_cancellable(Duration::from_millis(1)).unwrap();
                    }
                    sleep_cancellable(SHORT).unwrap();
                });
                // It is sticky.
                assert!(is_cancelled(&sleep_cancellable(LONG).unwrap_err()));
                assert!(is_cancelled(&check().unwrap_err()));
            });
            begun.wait();
            runtime.shutdown(LONG).unwrap();
            ends.join().unwrap();
        });
        if let Some(why) = task::why_not() {
            // A thread is never abandoned for good.
            return ec_test_support::skipped(why);
        }
        let runtime = Runtime::builder().cores(1).build().unwrap();
        let stays = task::Builder::new().name("stays".into());
        drop(runtime.spawn_with(stays, || shield(|| sleep_cancellable(LONG))).unwrap());
        until_waiting(&runtime, "sleep");
        let error = runtime.shutdown(SHORT).unwrap_err();
        assert!(error.to_string().contains("stays"), "{error}");
    });
}

/// Of a shield in the frame of a wait nothing is left when the wait is over.
#[test]
fn a_cancel_that_comes_as_a_shield_ends_is_not_lost() {
    const ROUNDS: usize = 2_000;
    limit(120, || {
        each_runtime(|runtime| {
            let (round, rounds) = (Arc::new(Notification::new()), Arc::new(Notification::new()));
            let (begins, goes_on) = (round.clone(), rounds.clone());
            let task = runtime.spawn(move || {
                for _ in 0..ROUNDS {
                    begins.post();
                    shield(|| sleep_cancellable(Duration::from_micros(20))).unwrap();
                    assert!(is_cancelled(&task::park_cancellable().unwrap_err()));
                    goes_on.wait();
                }
            });
            for n in 0..ROUNDS {
                round.wait();
                let start = Instant::now();
                while start.elapsed() < Duration::from_nanos(n as u64 * 60 % 120_000) {
                    std::hint::spin_loop();
                }
                task.cancel();
                rounds.post();
            }
            eventually(|| task.is_finished());
            task.join().unwrap();
        });
    });
}
