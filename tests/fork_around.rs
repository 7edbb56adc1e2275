//! What is around a fork is around the child, wherever it was forked: deadlines, the groups of cancel tokens, up to a shield; until the
//! child leaves their frames.

mod fork_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::UdpSocket;
use event_channel::sync::channel::{self, RecvError};
use event_channel::task::{self, CancelToken, check, shield};
use event_channel::time::{Duration, sleep_cancellable, timeout};
use event_channel::{Runtime, is_cancelled, is_deadline};
use fork_common::{WELL, child, ends_after, fork, in_each_place};
use std::sync::Arc;
use std::thread;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

fn everywhere(test: fn()) {
    limit(120, || in_each_place(&Arc::new(Runtime::builder().cores(2).build().unwrap()), test));
}

fn stops_once(is: impl Fn(&std::io::Error) -> bool) {
    let error = check().expect_err("stopped");
    assert!(is(&error), "{error}");
    check().expect("once");
}

#[test]
fn a_deadline_ends_what_the_child_waits_for_once() {
    everywhere(|| {
        let waits: [fn(); 2] = [
            || {
                let (_out, input) = channel::bounded::<u8>(1);
                assert_eq!(input.recv(), Err(RecvError::TimedOut));
            },
            || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                assert!(is_deadline(&socket.recv(&mut [0]).unwrap_err()));
            },
        ];
        for wait in waits {
            timeout(SHORT, || {
                let does = || {
                    wait();
                    check().expect("once");
                    // As in any process, each has its own.
                    timeout(SHORT, || {
                        timeout(LONG, || assert!(is_deadline(&sleep_cancellable(LONG).unwrap_err())));
                        check().expect("once");
                    });
                };
                assert_eq!(child(does), WELL);
                thread::sleep(SHORT);
                stops_once(is_deadline);
            });
        }
    });
}

#[test]
fn a_child_is_in_the_groups_of_tokens_that_it_was_forked_in() {
    everywhere(|| {
        let token = CancelToken::new();
        token.enter(|| {
            let does = || {
                check().unwrap();
                token.child_token().enter(|| {
                    token.cancel();
                    // That of the inner one, and then that of the outer one.
                    assert!(is_cancelled(&sleep_cancellable(LONG).unwrap_err()));
                });
                assert!(task::is_cancelled());
                stops_once(is_cancelled);
                // Who joins late is cancelled at once.
                token.enter(|| stops_once(is_cancelled));
            };
            assert_eq!(child(does), WELL);
            assert!(!token.is_cancelled() && !task::is_cancelled());
            check().unwrap();
        });
    });
}

#[test]
fn what_a_child_leaves_is_around_it_no_more() {
    everywhere(|| {
        let token = CancelToken::new();
        let end = token.enter(|| timeout(SHORT, || fork(|| thread::sleep(2 * SHORT))));
        if end.is_none() {
            ends_after(|| {
                token.cancel();
                check().unwrap();
                assert!(!task::is_cancelled());
                assert!(is_deadline(&timeout(SHORT, || sleep_cancellable(LONG)).unwrap_err()));
            });
        }
        assert_eq!(end, WELL);
    });
}

#[test]
fn a_shield_around_the_fork_keeps_off_what_is_around_that() {
    everywhere(|| {
        timeout(SHORT, || {
            let end = shield(|| {
                fork(|| {
                    thread::sleep(2 * SHORT);
                    assert!(check().is_ok());
                })
            });
            if end.is_none() {
                ends_after(|| stops_once(is_deadline));
            }
            assert_eq!(end, WELL);
        });
    });
}

#[test]
fn a_cancel_of_the_task_that_forks_is_not_one_of_the_child() {
    limit(60, || {
        let runtime = Runtime::builder().cores(1).build().unwrap();
        for builder in [task::Builder::new(), task::Builder::new().dedicated()] {
            let forks = runtime.spawn_with(builder, || {
                while !task::is_cancelled() {
                    task::yield_now();
                }
                let does = || {
                    assert!(!task::is_cancelled());
                    check().unwrap();
                    task::scope(|_| check().unwrap());
                };
                assert_eq!(child(does), WELL);
                stops_once(is_cancelled);
            });
            let forks = forks.unwrap();
            forks.cancel();
            forks.join().unwrap();
        }
    });
}
