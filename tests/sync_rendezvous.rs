//! Channels of `bounded(0)`: what is handed to a receiver that waits is that receiver's, whatever happens before it runs.

mod fork_common;
mod sync_common;

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::sync::channel::{
    self, Receiver, RecvError, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError,
};
use event_channel::sync::{Arc, Notification, mpsc, select};
use event_channel::task;
use event_channel::time::{Duration, timeout};
use event_channel::{Runtime, is_cancelled};
use fork_common::{End, fork};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use sync_common::{each_runtime_of, eventually, everywhere};

const LONG: Duration = Duration::from_secs(3600);

/// How one receives, alone or beside other things.
type Receives = fn(&Receiver<usize>) -> io::Result<usize>;

const RECEIVES: [Receives; 5] = [
    |receiver| Ok(receiver.recv()?),
    |receiver| Ok(receiver.recv_timeout(LONG)?),
    |receiver| timeout(LONG, || Ok(receiver.recv()?)),
    |receiver| {
        let (_sender, other) = channel::bounded::<usize>(0);
        Ok(
            select! { recv(&other) -> _ => unreachable!(), recv(receiver) -> value => value, sleep(LONG) => unreachable!() }??,
        )
    },
    |receiver| {
        let never = Notification::new();
        let value = select! {
            recv(receiver) -> value => value,
            wait(&never) => unreachable!(),
            recv(receiver) -> value => value,
        };
        Ok(value??)
    },
];

/// How one sends at once, if somebody receives.
type Hands = fn(&Sender<usize>, usize) -> bool;

const HANDS: [Hands; 3] = [
    |sender, value| sender.try_send(value).is_ok(),
    |sender, value| sender.send_timeout(value, Duration::ZERO).is_ok(),
    |sender, value| select! { send(sender, value) -> sent => sent.is_ok(), default => false }.unwrap(),
];

fn until_waiting(runtime: &Runtime) {
    eventually(|| runtime.dump().to_string().contains("'goods'"));
}

/// Neither its sender has it, nor one that comes later; nor does anybody see it.
#[test]
fn it_is_nobody_elses() {
    limit(60, || {
        everywhere(|crew| {
            for (receives, hands) in
                RECEIVES.iter().flat_map(|receives| HANDS.map(|hands| (*receives, hands)))
            {
                let (sender, receiver) = channel::bounded(0);
                let theirs = receiver.clone();
                let waits = crew.spawn(move || receives(&theirs).unwrap());
                eventually(|| hands(&sender, 1));
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
                assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
                assert_eq!(select! { recv(&receiver) -> value => value.ok(), default => None }, Ok(None));
                assert_eq!((receiver.len(), sender.try_send(2)), (0, Err(TrySendError::Full(2))));
                assert_eq!(waits.join(), 1);
            }
        });
    });
}

/// Nor is it lost, or anybody else's, when the channel is closed.
#[test]
fn an_end_takes_it_from_nobody() {
    limit(60, || {
        everywhere(|crew| {
            for (number, receives) in RECEIVES.iter().enumerate() {
                let (sender, receiver) = channel::bounded(0);
                let theirs = receiver.clone();
                let waits = crew.spawn(move || receives(&theirs).unwrap());
                eventually(|| sender.try_send(1).is_ok());
                match number % 3 {
                    0 => drop(sender),
                    1 => assert!(sender.close()),
                    _ => assert!(receiver.close()),
                }
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
                assert_eq!(receiver.recv(), Err(RecvError::Closed));
                drop(receiver);
                assert_eq!(waits.join(), 1);
            }
            let (sender, receiver) = mpsc::sync_channel(0);
            let waits = crew.spawn(move || receiver.recv());
            eventually(|| sender.try_send(1).is_ok());
            drop(sender);
            assert_eq!(waits.join(), Ok(1));
        });
    });
}

/// Each way to send does, as the one that never waits.
#[test]
fn a_send_without_time_comes_to_one_that_waits() {
    if let Some(why) = task::why_not() {
        // (Who waits is not to be seen.)
        return skipped(why);
    }
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let (sender, receiver) = channel::bounded_named(0, "goods");
            let rounds = || {
                for round in 0..40 {
                    let receives = RECEIVES[round % 3];
                    let theirs = receiver.clone();
                    let waits = runtime.spawn(move || receives(&theirs).unwrap());
                    until_waiting(runtime);
                    assert!(HANDS[round % HANDS.len()](&sender, round), "{round}: one waits");
                    assert_eq!(waits.join().unwrap(), round);
                }
                let late = sender.send_timeout(7, Duration::ZERO);
                assert_eq!(late, Err(SendTimeoutError::Timeout(7)), "nobody waits");
            };
            rounds();
            runtime.run(rounds);
        });
    });
}

/// A cancel that comes with it is for the next point. Who leaves for a cancel has been handed nothing.
#[test]
fn a_cancel_comes_before_it_or_at_the_next_point() {
    if let Some(why) = task::why_not() {
        return skipped(why);
    }
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let rounds = |cancel_first: bool| {
                for receives in RECEIVES.iter().cycle().take(25) {
                    let (sender, receiver) = channel::bounded_named(0, "goods");
                    let theirs = receiver.clone();
                    let waits = runtime.spawn(move || {
                        let first = receives(&theirs);
                        let second = first.is_ok().then(|| theirs.recv());
                        (first, second)
                    });
                    eventually(|| runtime.dump().to_string().contains("'goods'"));
                    if cancel_first {
                        waits.cancel();
                    }
                    let handed = sender.try_send(1).is_ok();
                    assert!(handed || cancel_first, "it waits");
                    waits.cancel();
                    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
                    match waits.join().unwrap() {
                        (Ok(1), second) if handed => assert_eq!(second, Some(Err(RecvError::Cancelled))),
                        (Err(error), None) if !handed => assert!(is_cancelled(&error)),
                        other => panic!("handed: {handed}, {other:?}"),
                    }
                }
            };
            for cancel_first in [false, true] {
                rounds(cancel_first);
                runtime.run(|| rounds(cancel_first));
            }
        });
    });
}

/// Whatever was sent was received once, while those who receive give up at any moment. The sender itself gets nothing.
#[test]
fn it_comes_to_one_that_gives_up_or_stays_with_the_sender() {
    const VALUES: usize = 300;
    limit(60, || {
        everywhere(|crew| {
            let (sender, receiver) = channel::bounded(0);
            let crowd: Vec<_> = (1..4)
                .map(|number| {
                    let receiver = receiver.clone();
                    crew.spawn(move || {
                        let short = Duration::from_micros(10 * number);
                        let mut got = Vec::new();
                        loop {
                            let received = match number {
                                1 => receiver.recv_timeout(short),
                                2 => timeout(short, || Ok::<_, io::Error>(receiver.recv())).unwrap().map_err(
                                    |error| match error {
                                        RecvError::Closed => RecvTimeoutError::Closed,
                                        _ => RecvTimeoutError::Timeout,
                                    },
                                ),
                                _ => select! {
                                    recv(&receiver) -> value => value.map_err(|_| RecvTimeoutError::Closed),
                                    sleep(short) => Err(RecvTimeoutError::Timeout),
                                }
                                .unwrap(),
                            };
                            match received {
                                Ok(value) => got.push(value),
                                Err(RecvTimeoutError::Closed) => return got,
                                Err(_) => (),
                            }
                        }
                    })
                })
                .collect();
            for value in 0..VALUES {
                eventually(|| HANDS[value % HANDS.len()](&sender, value));
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            }
            drop(sender);
            let mut got: Vec<_> = crowd.into_iter().flat_map(|one| one.join()).collect();
            got.sort_unstable();
            assert_eq!(got, (0..VALUES).collect::<Vec<_>>());
        });
    });
}

/// Each of them is at both ends of the channel.
#[test]
fn nobody_meets_itself() {
    const MEETINGS: usize = 300;
    limit(60, || {
        everywhere(|crew| {
            for many in [2, 3, 4] {
                let (sender, receiver) = channel::bounded(0);
                let meetings = Arc::new(AtomicUsize::new(0));
                let crowd: Vec<_> = (0..many)
                    .map(|me| {
                        let (sender, receiver, meetings) =
                            (sender.clone(), receiver.clone(), meetings.clone());
                        crew.spawn(move || {
                            let mut sent = 0_isize;
                            loop {
                                let met = select! {
                                    send(&sender, me) -> sent => sent.map(|()| None).ok(),
                                    recv(&receiver) -> other => other.map(Some).ok(),
                                };
                                match met.unwrap() {
                                    Some(None) => sent += 1,
                                    Some(Some(other)) => {
                                        assert_ne!(other, me, "its own");
                                        sent -= 1;
                                        if meetings.fetch_add(1, Ordering::Relaxed) == MEETINGS {
                                            sender.close();
                                        }
                                    }
                                    None => return sent,
                                }
                            }
                        })
                    })
                    .collect();
                assert_eq!(crowd.into_iter().map(|one| one.join()).sum::<isize>(), 0);
            }
        });
    });
}

/// A task that has been handed 1 and does not run, as another one keeps the worker.
struct Held {
    runtime: Runtime,
    sender: Sender<usize>,
    receiver: Receiver<usize>,
    waits: task::JoinHandle<io::Result<usize>>,
    over: Arc<AtomicBool>,
}

impl Held {
    fn new(receives: Receives) -> Held {
        let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
        let (sender, receiver) = channel::bounded(0);
        let theirs = receiver.clone();
        let (begun, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (begins, until) = (begun.clone(), over.clone());
        let waits = runtime.spawn(move || {
            // (Runs as soon as this one waits.)
            task::spawn(move || {
                begins.store(true, Ordering::SeqCst);
                while !until.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
            });
            receives(&theirs)
        });
        eventually(|| begun.load(Ordering::SeqCst));
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "it is that one's");
        Held { runtime, sender, receiver, waits, over }
    }
}

/// It does not run any more: then it is for others, also for those that wait already.
#[test]
fn one_that_is_left_behind_takes_nothing_with_it() {
    if let Some(why) = task::why_not() {
        return skipped(why);
    }
    limit(60, || {
        for (number, receives) in RECEIVES.iter().enumerate() {
            for other in RECEIVES {
                let held = Held::new(*receives);
                let theirs = held.receiver.clone();
                let waits = thread::spawn(move || other(&theirs).unwrap());
                if number % 2 == 0 {
                    // It waits, and is told of nothing.
                    eventually(|| held.sender.try_send(2).is_ok());
                    assert_eq!(waits.join().unwrap(), 2);
                    assert!(held.runtime.shutdown(Duration::ZERO).is_err(), "one keeps the worker");
                    assert_eq!(other(&held.receiver).unwrap(), 1);
                } else {
                    assert!(held.runtime.shutdown(Duration::ZERO).is_err(), "one keeps the worker");
                    assert_eq!(waits.join().unwrap(), 1);
                }
                held.over.store(true, Ordering::SeqCst);
                assert_eq!(held.receiver.try_recv(), Err(TryRecvError::Empty));
            }
        }
    });
}

/// In a child it is for whoever is there; in the parent it is that receiver's.
#[test]
fn a_forked_child_has_it_too() {
    if let Some(why) = task::why_not() {
        return skipped(why);
    }
    limit(60, || {
        for receives in RECEIVES {
            let held = Held::new(receives);
            let end = fork(|| {
                let serve = || {
                    assert_eq!(receives(&held.receiver).unwrap(), 1);
                    assert_eq!(held.receiver.try_recv(), Err(TryRecvError::Empty));
                    assert_eq!(held.sender.try_send(2), Err(TrySendError::Full(2)));
                };
                let served = catch_unwind(AssertUnwindSafe(serve));
                // SAFETY: ends the child, which has the test's harness on its stack.
                unsafe { libc::_exit(i32::from(served.is_err())) }
            });
            assert_eq!(end, Some(End::Code(0)));
            assert_eq!(held.receiver.try_recv(), Err(TryRecvError::Empty));
            held.over.store(true, Ordering::SeqCst);
            assert_eq!(held.waits.join().unwrap().unwrap(), 1);
        }
    });
}
