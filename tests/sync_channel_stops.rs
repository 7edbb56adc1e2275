//! `sync::channel`, `sync::oneshot` and the twins of `sync::mpsc`: cancels, deadlines, tasks that are left behind, and who gets how much.

mod sync_common;

use ec_test_support::{limit, skipped, without_shares};
use ec_unkind as _;
use event_channel::sync::channel::{
    self, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender,
};
use event_channel::sync::{Notification, mpsc, oneshot, select};
use event_channel::time::{Duration, timeout};
use event_channel::{Cancelled, Runtime, task};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use sync_common::{each_runtime_of, eventually};

const SHORT: Duration = Duration::from_millis(2);

fn until_waiting(runtime: &Runtime, what: &str) {
    // (Tasks that are threads are not in the dump as those that wait.)
    eventually(|| runtime.dump().to_string().contains(what) || !task::migrates());
}

#[test]
fn a_cancel_ends_a_wait_and_gives_the_value_back() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            for places in [Some(0), Some(1), None] {
                let (sender, receiver) = match places {
                    Some(places) => channel::bounded_named(places, "goods"),
                    None => channel::unbounded_named("goods"),
                };
                let theirs = receiver.clone();
                let receives = runtime.spawn(move || (theirs.recv(), task::is_cancelled()));
                until_waiting(runtime, "'goods'");
                receives.cancel();
                assert_eq!(receives.join().unwrap(), (Err(RecvError::Cancelled), true));
                let Some(places) = places else { continue };
                (0..places).for_each(|_| sender.send(0).unwrap());
                let sends = runtime.spawn(move || sender.send(7));
                until_waiting(runtime, "'goods'");
                sends.cancel();
                assert_eq!(sends.join().unwrap(), Err(SendError::Cancelled(7)));
                assert_eq!(receiver.try_iter().count(), places);
            }
        });
    });
}

/// Also of a task that need not wait: it takes nothing, and goes on afterwards.
#[test]
fn a_cancel_that_is_pending_is_delivered_once_before_anything_else() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let (sender, receiver) = channel::unbounded();
            let go = Arc::new(AtomicBool::new(false));
            let theirs = go.clone();
            let task = runtime.spawn(move || {
                while !theirs.load(Ordering::SeqCst) {
                    task::yield_now();
                }
                assert_eq!(sender.send(1), Err(SendError::Cancelled(1)));
                sender.send(2).unwrap();
                receiver.recv()
            });
            task.cancel();
            go.store(true, Ordering::SeqCst);
            assert_eq!(task.join().unwrap(), Ok(2));
        });
    });
}

#[test]
fn a_deadline_around_is_told_from_a_limit_of_the_call() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let waits = || {
                let (sender, receiver) = channel::bounded(1);
                sender.send(0).unwrap();
                let long = Duration::from_secs(3600);
                let late = |sent: Result<(), SendTimeoutError<u32>>| {
                    assert_eq!(sent, Err(SendTimeoutError::TimedOut(1)));
                    io::Error::from(sent.unwrap_err())
                };
                let error = timeout(SHORT, || Err::<(), _>(late(sender.send_timeout(1, long)))).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                assert_eq!(sender.send_timeout(1, SHORT), Err(SendTimeoutError::Timeout(1)));
                receiver.recv().unwrap();
                let received = timeout(SHORT, || Ok::<_, io::Error>(receiver.recv_timeout(long))).unwrap();
                assert_eq!(received, Err(RecvTimeoutError::TimedOut));
                let received = timeout(long, || Ok::<_, io::Error>(receiver.recv_timeout(SHORT))).unwrap();
                assert_eq!(received, Err(RecvTimeoutError::Timeout));
            };
            waits();
            runtime.spawn(waits).join().unwrap();
        });
    });
}

#[test]
fn errors_become_those_of_io() {
    limit(60, || {
        assert!(Cancelled::is(&SendError::Cancelled(1).into()));
        assert!(Cancelled::is(&RecvError::Cancelled.into()));
        let kind = |error: io::Error| error.kind();
        assert_eq!(kind(SendError::TimedOut(1).into()), io::ErrorKind::TimedOut);
        assert_eq!(kind(SendError::Closed(1).into()), io::ErrorKind::BrokenPipe);
        assert_eq!(kind(RecvError::Closed.into()), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(RecvTimeoutError::Timeout.into()), io::ErrorKind::WouldBlock);
        assert_eq!(format!("{:?}", SendError::Closed(1)), "Closed(..)");
    });
}

/// What was sent is received once, or given back, whoever gives up meanwhile; some tasks block their threads.
#[test]
fn nothing_is_lost_to_those_that_give_up() {
    limit(120, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            for places in [Some(0), Some(1), Some(8), None] {
                const EACH: u64 = 150;
                let (sender, receiver) = match places {
                    Some(places) => channel::bounded(places),
                    None => channel::unbounded(),
                };
                // (Luck that is the same each time.)
                let short = |me: u64, n: u64| Duration::from_micros((me * 37 + n * 61) % 150);
                let senders: Vec<_> = (0..6)
                    .map(|me| {
                        let sender = sender.clone();
                        runtime.spawn(move || {
                            let mut sum = 0;
                            for n in 1..=EACH {
                                let (mut value, mut tries) = (n, 0);
                                while let Err(error) = match n % 3 {
                                    0 => sender.send(value).map_err(SendError::into_inner),
                                    1 => sender
                                        .send_timeout(value, short(me, n + tries))
                                        .map_err(SendTimeoutError::into_inner),
                                    _ => timeout(short(me, n + tries), || {
                                        Ok::<_, io::Error>(sender.send(value))
                                    })
                                    .unwrap()
                                    .map_err(SendError::into_inner),
                                } {
                                    value = error;
                                    tries += 1;
                                    assert_eq!(value, n);
                                }
                                sum += n;
                                if (n + me).is_multiple_of(50) {
                                    thread::sleep(Duration::from_micros(300));
                                }
                            }
                            sum
                        })
                    })
                    .collect();
                let sum = Arc::new(AtomicUsize::new(0));
                let receivers: Vec<_> = (0..6)
                    .map(|me| {
                        let (receiver, sum) = (receiver.clone(), sum.clone());
                        runtime.spawn(move || {
                            for n in 0.. {
                                let (received, ends) = match n % 3 {
                                    0 => {
                                        let received = receiver.recv();
                                        (received.ok(), received == Err(RecvError::Closed))
                                    }
                                    1 => {
                                        let received = receiver.recv_timeout(short(me, n));
                                        (received.ok(), received == Err(RecvTimeoutError::Closed))
                                    }
                                    _ => {
                                        let wait = || Ok::<_, io::Error>(receiver.recv());
                                        let received = timeout(short(me, n), wait).unwrap();
                                        (received.ok(), received == Err(RecvError::Closed))
                                    }
                                };
                                sum.fetch_add(received.unwrap_or(0) as usize, Ordering::Relaxed);
                                if (n + me).is_multiple_of(70) {
                                    thread::sleep(Duration::from_micros(300));
                                }
                                if ends {
                                    break;
                                }
                            }
                        })
                    })
                    .collect();
                drop((sender, receiver));
                for _ in 0..20 {
                    senders.iter().step_by(2).for_each(task::JoinHandle::cancel);
                    receivers.iter().step_by(2).for_each(task::JoinHandle::cancel);
                    thread::sleep(Duration::from_micros(200));
                }
                let sent: u64 = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
                receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
                assert_eq!(sent, 6 * EACH * (EACH + 1) / 2);
                assert_eq!(sum.load(Ordering::Relaxed) as u64, sent);
            }
        });
    });
}

/// Tasks that their runtime has left behind, on both sides: others go on.
#[test]
fn tasks_that_were_left_behind_hold_up_nobody() {
    limit(60, || {
        for places in [0, 1] {
            each_runtime_of(&[1, 2], |runtime| {
                let (sender, receiver) = channel::bounded_named(places, "goods");
                let theirs = receiver.clone();
                drop(runtime.spawn(move || theirs.recv()));
                until_waiting(runtime, "recv");
                // (The cancel of the shutdown it takes for nothing.)
                let (stubborn, over) = (receiver.clone(), Arc::new(AtomicBool::new(false)));
                let is_over = over.clone();
                drop(runtime.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        let _ = stubborn.recv();
                    }
                }));
                let _ = runtime.shutdown(Duration::ZERO);
                let received =
                    thread::spawn(move || (0..3).map(|_| receiver.recv().unwrap()).collect::<Vec<_>>());
                (0..3).for_each(|n| sender.send(n).unwrap());
                assert_eq!(received.join().unwrap(), [0, 1, 2]);
                // (Or its thread would keep a CPU busy from here on.)
                over.store(true, Ordering::Relaxed);
            });
        }
    });
}

/// Of those that wait none gets less than a third of its share; whether they wait for that alone, or for something else as well.
#[test]
fn none_of_many_is_passed_over() {
    const MANY: usize = 64;
    // (Each wait may be for half a millisecond in vain: this is to take many times as long for all.)
    const SHARE: usize = 1500;
    if !task::migrates() {
        // (And the kernel's business, by its slices of time.)
        return skipped("tasks are threads");
    }
    if without_shares() {
        return;
    }
    let never = Arc::new(Notification::new());
    let receive = |receiver: &Receiver<usize>, selects: bool, never: &Notification| match selects {
        false => receiver.recv().is_ok(),
        true => select! { recv(receiver) -> value => value.is_ok(), wait(never) => false }.unwrap(),
    };
    let send = |sender: &Sender<usize>, value, selects: bool, never: &Notification| match selects {
        false => sender.send(value).is_ok(),
        true => select! { send(sender, value) -> sent => sent.is_ok(), wait(never) => false }.unwrap(),
    };
    limit(120, || {
        for (cores, selects) in [(1, false), (2, false), (2, true)] {
            let runtime = Runtime::builder().cores(cores).build().unwrap();
            for places in [Some(0), Some(16), None] {
                let (sender, receiver) = match places {
                    Some(places) => channel::bounded(places),
                    None => channel::unbounded(),
                };
                let receivers: Vec<_> = (0..MANY)
                    .map(|_| {
                        let (receiver, never) = (receiver.clone(), never.clone());
                        runtime
                            .spawn(move || (0..).take_while(|_| receive(&receiver, selects, &never)).count())
                    })
                    .collect();
                let sends = runtime.spawn(move || (0..MANY * SHARE).for_each(|n| sender.send(n).unwrap()));
                sends.join().unwrap();
                let least = receivers.into_iter().map(|receiver| receiver.join().unwrap()).min();
                assert!(
                    least.unwrap() >= SHARE / 3,
                    "a receiver got {least:?} of {SHARE} with {places:?} places, {cores} cores, selects: {selects}"
                );

                let Some(places) = places else { continue };
                let (sender, receiver) = channel::bounded(places);
                let senders: Vec<_> = (0..MANY)
                    .map(|me| {
                        let (sender, never) = (sender.clone(), never.clone());
                        runtime.spawn(move || while send(&sender, me, selects, &never) {})
                    })
                    .collect();
                let mut counts = [0; MANY];
                (0..MANY * SHARE).for_each(|_| counts[receiver.recv().unwrap()] += 1);
                drop(receiver);
                senders.into_iter().for_each(|sender| sender.join().unwrap());
                let least = *counts.iter().min().unwrap();
                assert!(
                    least >= SHARE / 3,
                    "a sender got {least} of {SHARE} with {places} places, {cores} cores, selects: {selects}: {counts:?}"
                );
            }
        }
    });
}

#[test]
fn the_twins_of_mpsc_are_cancellation_points_and_the_others_are_not() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let (sender, receiver) = mpsc::sync_channel(0);
            let (ready, is_ready) = oneshot::channel();
            let waits = runtime.spawn(move || {
                let twin = receiver.recv_cancellable();
                assert!(Cancelled::is(&twin.unwrap_err()));
                let twin = timeout(SHORT, || receiver.recv_timeout_cancellable(Duration::from_secs(3600)));
                assert_eq!(twin.unwrap_err().kind(), io::ErrorKind::TimedOut);
                let own = receiver.recv_timeout_cancellable(SHORT).unwrap();
                assert_eq!(own, Err(mpsc::RecvTimeoutError::Timeout));
                ready.send(()).unwrap();
                // The deadline has come long before.
                let received = timeout(Duration::ZERO, || Ok::<_, io::Error>(receiver.recv()));
                (received.unwrap(), receiver)
            });
            waits.cancel();
            is_ready.recv().unwrap();
            sender.send(1).unwrap();
            let (received, receiver) = waits.join().unwrap();
            assert_eq!(received, Ok(1));
            let (ready, is_ready) = oneshot::channel();
            let sends = runtime.spawn(move || {
                assert!(Cancelled::is(&sender.send_cancellable(2).unwrap_err()));
                ready.send(()).unwrap();
                sender.send_cancellable(3).unwrap()
            });
            sends.cancel();
            is_ready.recv().unwrap();
            assert_eq!(receiver.recv(), Ok(3));
            assert_eq!(sends.join().unwrap(), Ok(()));
        });
    });
}

#[test]
fn a_oneshot_that_was_waited_for_in_vain_is_received_later() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            for n in 0..20 {
                let (sender, receiver) = oneshot::channel();
                let waits = runtime.spawn(move || {
                    let mut stopped = 0;
                    loop {
                        match receiver.recv() {
                            Ok(value) => return (value, stopped),
                            Err(RecvError::Cancelled) => stopped += 1,
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                });
                waits.cancel();
                if n % 2 == 0 {
                    thread::yield_now();
                }
                sender.send(n).unwrap();
                let (value, stopped) = waits.join().unwrap();
                assert!(value == n && stopped <= 1);
            }
            let (sender, receiver) = oneshot::channel::<u32>();
            assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
            let (ready, is_ready) = oneshot::channel();
            let waits = runtime.spawn(move || {
                assert!(Cancelled::is(&sender.closed().unwrap_err()));
                ready.send(()).unwrap();
                sender.closed().unwrap();
                assert!(sender.is_closed());
                sender.send(1)
            });
            waits.cancel();
            is_ready.recv().unwrap();
            drop(receiver);
            assert_eq!(waits.join().unwrap(), Err(1));
            let (sender, receiver) = oneshot::channel::<u32>();
            let waits = thread::spawn(move || receiver.recv());
            drop(sender);
            assert_eq!(waits.join().unwrap(), Err(RecvError::Closed));
        });
    });
}

/// What a receiver has taken it returns with, before anybody else runs: it might not run again.
#[test]
fn nothing_goes_with_one_that_is_left_behind() {
    limit(60, || {
        const SENT: usize = 100;
        for places in [Some(0), Some(SENT), None] {
            let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
            let (sender, receiver) = match places {
                Some(places) => channel::bounded(places),
                None => channel::unbounded(),
            };
            let senders: Vec<_> = if places == Some(0) {
                let sends = |_| {
                    let sender = sender.clone();
                    thread::spawn(move || sender.send(()).is_ok())
                };
                (0..SENT).map(sends).collect()
            } else {
                (0..SENT).for_each(|_| sender.send(()).unwrap());
                Vec::new()
            };
            let (received, begun, down) = (
                Arc::new(AtomicUsize::new(0)),
                Arc::new(AtomicBool::new(false)),
                Arc::new(AtomicBool::new(false)),
            );
            let (theirs, count, begins, end) =
                (receiver.clone(), received.clone(), begun.clone(), down.clone());
            runtime.spawn(move || {
                // Whoever runs when the receiver lets others run keeps the worker until the runtime is down.
                task::spawn(move || {
                    begins.store(true, Ordering::SeqCst);
                    while !end.load(Ordering::SeqCst) {
                        std::hint::spin_loop();
                    }
                });
                while theirs.recv().is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
            eventually(|| begun.load(Ordering::SeqCst));
            let stuck = runtime.shutdown(Duration::ZERO);
            assert!(stuck.is_err(), "one keeps the worker");
            down.store(true, Ordering::SeqCst);
            let left = match places {
                Some(0) => {
                    drop(sender);
                    receiver.iter().count()
                }
                _ => receiver.try_iter().count(),
            };
            let sent = if places == Some(0) {
                senders.into_iter().map(|sender| sender.join().unwrap()).filter(|sent| *sent).count()
            } else {
                SENT
            };
            assert_eq!(received.load(Ordering::SeqCst) + left, sent, "{places:?}");
        }
    });
}

/// As with a `Vec`: a destructor that panics keeps the others from nothing.
#[test]
fn what_is_discarded_goes_though_one_panics() {
    struct Message(Arc<AtomicUsize>, bool);
    impl Drop for Message {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert!(!self.1, "on purpose");
        }
    }
    for places in [Some(100), None] {
        let (sender, receiver) = match places {
            Some(places) => channel::bounded(places),
            None => channel::unbounded(),
        };
        let gone = Arc::new(AtomicUsize::new(0));
        (0..100).for_each(|nth| drop(sender.send(Message(gone.clone(), nth == 3))));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(receiver)));
        assert!(dropped.is_err());
        assert_eq!(gone.load(Ordering::Relaxed), 100);
        assert!(sender.is_closed());
    }
}
