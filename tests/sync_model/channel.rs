//! Channels: those who send and receive, who give up, and who are left behind.

use crate::sync::base::face::{AtomicUsize, Instant, Ordering, Sleeper, Stop, all_through};
use crate::sync::base::names::Name;
use crate::sync::channel::core::{Core, Failed, Patience};
use crate::{explore, spawn, spawn_as};
use ec_test_support::limit;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

const POINT: Patience = Patience { deadline: None, point: true };

type Channel = Arc<Core<u32>>;

fn channel(bound: Option<usize>) -> Channel {
    Arc::new(Core::new(bound, Name::none()))
}

fn sends(channel: &Channel, who: &Sleeper, value: u32) -> JoinHandle<Result<(), (u32, Failed)>> {
    let (channel, who) = (channel.clone(), who.clone());
    thread::spawn(move || {
        who.be();
        channel.send(value, POINT)
    })
}

fn receives(channel: &Channel, who: &Sleeper) -> JoinHandle<Result<u32, Failed>> {
    let (channel, who) = (channel.clone(), who.clone());
    thread::spawn(move || {
        who.be();
        channel.recv(POINT)
    })
}

/// What it got; if it got nothing it was cancelled, with what it was to send.
fn got_or_cancelled(result: Result<u32, Failed>) -> Option<u32> {
    match result {
        Ok(value) => Some(value),
        Err(Failed::Stopped(Stop::Cancel)) => None,
        Err(failed) => panic!("{failed:?}"),
    }
}

const BOUNDS: [Option<usize>; 3] = [Some(0), Some(1), None];

#[test]
fn what_two_send_comes_to_one_that_receives() {
    limit(240, || {
        for bound in BOUNDS {
            let ends = explore(2, move || {
                let channel = channel(bound);
                let senders = [1, 2].map(|value| sends(&channel, &Sleeper::new(), value));
                let sum = channel.recv(POINT).unwrap() + channel.recv(POINT).unwrap();
                senders.into_iter().for_each(|sender| sender.join().unwrap().unwrap());
                sum
            });
            assert_eq!(ends, [3]);
        }
    });
}

#[test]
fn what_one_sends_comes_to_two_that_receive() {
    limit(240, || {
        for bound in BOUNDS {
            let ends = explore(2, move || {
                let channel = channel(bound);
                let receivers = [(); 2].map(|()| receives(&channel, &Sleeper::new()));
                channel.send(1, POINT).unwrap();
                channel.send(2, POINT).unwrap();
                receivers.into_iter().map(|receiver| receiver.join().unwrap().unwrap()).sum::<u32>()
            });
            assert_eq!(ends, [3]);
        }
    });
}

/// One may be told of two values, if it is its turn and another has been quicker before: it tells the next.
#[test]
fn what_one_sends_comes_to_three_that_receive() {
    limit(240, || {
        for bound in [Some(2), None] {
            let ends = explore(1, move || {
                let channel = channel(bound);
                let receivers = [(); 2].map(|()| receives(&channel, &Sleeper::new()));
                let theirs = channel.clone();
                let sender =
                    thread::spawn(move || (1..=3).for_each(|value| theirs.send(value, POINT).unwrap()));
                let mine = channel.recv(POINT).unwrap();
                sender.join().unwrap();
                mine + receivers.into_iter().map(|receiver| receiver.join().unwrap().unwrap()).sum::<u32>()
            });
            assert_eq!(ends, [6]);
        }
    });
}

#[test]
fn a_receiver_that_is_cancelled_takes_nothing_with_it() {
    limit(240, || {
        for bound in BOUNDS {
            let ends = explore(2, move || {
                let channel = channel(bound);
                let first = Sleeper::new();
                let gives_up = receives(&channel, &first);
                let waits = receives(&channel, &Sleeper::new());
                first.cancel();
                channel.send(1, POINT).unwrap();
                match got_or_cancelled(gives_up.join().unwrap()) {
                    // The other one waits still.
                    Some(1) => channel.send(2, POINT).unwrap(),
                    Some(other) => panic!("{other}"),
                    None => (),
                }
                waits.join().unwrap().unwrap()
            });
            assert_eq!(ends, [1, 2]);
        }
    });
}

#[test]
fn a_sender_that_is_cancelled_has_its_value_or_has_sent_it() {
    limit(240, || {
        for bound in [0, 1] {
            let ends = explore(2, move || {
                let channel = channel(Some(bound));
                if bound > 0 {
                    channel.send(7, POINT).unwrap();
                }
                let first = Sleeper::new();
                let gives_up = sends(&channel, &first, 1);
                let waits = sends(&channel, &Sleeper::new(), 2);
                first.cancel();
                let mut received = Vec::new();
                if bound > 0 {
                    received.push(channel.recv(POINT).unwrap());
                }
                received.push(channel.recv(POINT).unwrap());
                let sent = match gives_up.join().unwrap() {
                    Ok(()) => true,
                    Err((1, Failed::Stopped(Stop::Cancel))) => false,
                    Err(other) => panic!("{other:?}"),
                };
                if sent {
                    received.push(channel.recv(POINT).unwrap());
                }
                waits.join().unwrap().unwrap();
                assert!(channel.try_recv().is_err());
                received.sort_unstable();
                let expected = [2, 1, 7].into_iter().filter(|value| match value {
                    1 => sent,
                    7 => bound > 0,
                    _ => true,
                });
                let mut expected: Vec<u32> = expected.collect();
                expected.sort_unstable();
                assert_eq!(received, expected);
                sent
            });
            assert_eq!(ends, [false, true]);
        }
    });
}

/// What it was told of is for another.
#[test]
fn a_receiver_that_is_left_behind_takes_nothing_with_it() {
    limit(240, || {
        for bound in [Some(1), None] {
            for sends_first in [true, false] {
                let ends = explore(2, move || {
                    let channel = channel(bound);
                    let first = Sleeper::new();
                    let is_left = receives(&channel, &first);
                    let waits = receives(&channel, &Sleeper::new());
                    if sends_first {
                        channel.send(1, POINT).unwrap();
                    }
                    first.leave();
                    if !sends_first {
                        channel.send(1, POINT).unwrap();
                    }
                    // (The first may have it: then it was not waiting.)
                    channel.close();
                    let got = waits.join().unwrap().ok();
                    all_through();
                    let first = is_left.join().unwrap().ok();
                    assert!(got.is_some() != first.is_some(), "{got:?} {first:?}");
                });
                assert_eq!(ends, [()]);
            }
        }
    });
}

#[test]
fn a_sender_that_is_left_behind_holds_up_nobody() {
    limit(240, || {
        let ends = explore(2, || {
            let channel = channel(Some(1));
            channel.send(7, POINT).unwrap();
            let first = Sleeper::new();
            let is_left = sends(&channel, &first, 1);
            let waits = sends(&channel, &Sleeper::new(), 2);
            let seven = channel.recv(POINT).unwrap();
            first.leave();
            // One of the two; if it is the one that was left behind, it had not waited.
            let one = channel.recv(POINT).unwrap();
            if one == 1 {
                assert_eq!(channel.recv(POINT).unwrap(), 2);
            }
            waits.join().unwrap().unwrap();
            all_through();
            let _ = is_left.join().unwrap();
            seven
        });
        assert_eq!(ends, [7]);
    });
}

/// Whatever was sent before it is received, and nothing is sent afterwards.
#[test]
fn a_close_loses_nothing_and_wakes_all() {
    limit(240, || {
        for bound in BOUNDS {
            let ends = explore(2, move || {
                let channel = channel(bound);
                let sender = sends(&channel, &Sleeper::new(), 1);
                let receiver = receives(&channel, &Sleeper::new());
                channel.close();
                let received = receiver.join().unwrap();
                let sent = match sender.join().unwrap() {
                    Ok(()) => true,
                    Err((1, Failed::Closed)) => false,
                    Err(other) => panic!("{other:?}"),
                };
                assert_eq!(received.is_ok(), sent);
                sent
            });
            assert_eq!(ends, [false, true]);
        }
    });
}

/// `bounded(0)`, and a sender that does not wait: what it has handed over is received.
#[test]
fn what_is_handed_over_is_received() {
    limit(240, || {
        let ends = explore(2, || {
            let channel = channel(Some(0));
            let first = Sleeper::new();
            let gives_up = receives(&channel, &first);
            first.cancel();
            let handed = channel.try_send(1).is_ok();
            let got = got_or_cancelled(gives_up.join().unwrap());
            assert_eq!(got.is_some(), handed);
            handed
        });
        assert_eq!(ends, [false, true]);
    });
}

/// Neither its sender takes it, nor one that comes later, nor an end; whether who was handed it has run or not.
#[test]
fn what_is_handed_over_is_nobody_elses() {
    limit(240, || {
        let ends = explore(2, || {
            let channel = channel(Some(0));
            let who = Sleeper::new();
            let waits = receives(&channel, &who);
            who.until_waiting();
            let theirs = channel.clone();
            let comes = spawn(move || theirs.recv(POINT).ok());
            channel.try_send(1).unwrap();
            assert!(channel.try_recv().is_err());
            channel.close();
            assert_eq!(comes.join().unwrap(), None);
            waits.join().unwrap().unwrap()
        });
        assert_eq!(ends, [1]);
    });
}

/// Two wait. The one that is cancelled leaves before, or returns what it was handed.
#[test]
fn each_returns_what_it_was_handed() {
    limit(240, || {
        let ends = explore(2, || {
            let channel = channel(Some(0));
            let sleepers = [Sleeper::new(), Sleeper::new()];
            let waiting = [0, 1].map(|number| receives(&channel, &sleepers[number]));
            sleepers.iter().for_each(Sleeper::until_waiting);
            sleepers[0].cancel();
            let handed = [1, 2].map(|value| channel.try_send(value).is_ok());
            channel.close();
            let [first, other] = waiting.map(|one| one.join().unwrap());
            let mut got: Vec<u32> = [got_or_cancelled(first), other.ok()].into_iter().flatten().collect();
            got.sort_unstable();
            assert_eq!(handed, [true, got.len() == 2]);
            assert!(got == [1] || got == [1, 2]);
            got.len()
        });
        assert_eq!(ends, [1, 2]);
    });
}

/// Then it is for others: for those that wait as it is left, and for those that come to wait. (One of them has it, without an end.)
#[test]
fn what_was_handed_to_one_that_is_left_behind_is_for_others() {
    limit(240, || {
        let ends = explore(1, || {
            let channel = channel(Some(0));
            let got = Arc::new(AtomicUsize::new(0));
            let first = Sleeper::new();
            let waiting = [first.clone(), Sleeper::new()].map(|who| {
                let (channel, got) = (channel.clone(), got.clone());
                spawn_as(&who, move || {
                    let value = channel.recv(POINT).ok();
                    got.fetch_add(value.map_or(0, |_| 1), Ordering::SeqCst);
                    value
                })
            });
            first.until_waiting();
            let sender = sends(&channel, &Sleeper::new(), 1);
            first.leave();
            sender.join().unwrap().unwrap();
            while got.load(Ordering::SeqCst) == 0 {
                loom::thread::yield_now();
            }
            channel.close();
            let [first, other] = waiting;
            let other = other.join().unwrap();
            all_through();
            let first = first.join().unwrap();
            assert_eq!(first.is_none(), other.is_some());
            other.is_some()
        });
        assert_eq!(ends, [false, true]);
    });
}

/// Who sends is sure of that, though it does not wait itself, and though the other one does not run any more.
#[test]
fn a_send_comes_to_one_that_waits() {
    limit(240, || {
        for sends in [true, false] {
            let ends = explore(2, move || {
                let channel = channel(Some(0));
                let who = Sleeper::new();
                let waits = receives(&channel, &who);
                who.until_waiting();
                let never = Patience { deadline: Some(Instant::now()), point: false };
                match sends {
                    true => channel.send(1, never).unwrap(),
                    false => channel.try_send(1).unwrap(),
                }
                assert!(channel.try_recv().is_err());
                waits.join().unwrap().unwrap()
            });
            assert_eq!(ends, [1]);
        }
    });
}
