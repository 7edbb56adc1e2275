//! How many of those who wait are woken: two at most for one event, all by `wake_all`.

mod common;

use common::{AtEnd, each_driver, serve, until_asleep};
use ec_channel::{Completion, Completions, EventChannel, Request, Wait};
use ec_test_support::limit;
use ec_unkind as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

const WAITERS: usize = 64;
const EVENTS: u64 = 1_000;

/// Runs `f` while so many threads get events and pass their tokens on, until the channel is shut down.
fn with_waiters(channel: &EventChannel, f: impl FnOnce(&Receiver<u64>)) {
    thread::scope(|scope| {
        let (got, tokens) = std::sync::mpsc::channel();
        for _ in 0..WAITERS {
            let got = got.clone();
            scope.spawn(move || {
                while let Ok(event) = channel.get_event() {
                    got.send(event.token()).unwrap();
                }
            });
        }
        drop(got);
        let ends = AtEnd(|| channel.shutdown());
        f(&tokens);
        drop(ends);
        assert_eq!(tokens.iter().count(), 0, "each event once");
    });
}

fn at_most_two_each(channel: &EventChannel) {
    let metrics = channel.metrics();
    eprintln!("{metrics:?}");
    assert!((1..=2).contains(&metrics.most_woken), "{metrics:?}");
    // (Each waiter may have been promoted once before the first event.)
    assert!(metrics.wakeups <= 2 * metrics.completed + WAITERS as u64, "{metrics:?}");
}

#[test]
fn an_event_wakes_two_at_most_of_many_who_wait() {
    limit(60, || {
        each_driver(|channel| {
            with_waiters(&channel, |tokens| {
                // One after the other: complete as it is posted, or by way of the port.
                for n in 0..EVENTS {
                    let request =
                        if n % 2 == 0 { Request::notification() } else { Request::timer(Duration::ZERO) };
                    channel.post(request.token(n)).unwrap();
                    assert_eq!(tokens.recv().unwrap(), n);
                }
                at_most_two_each(&channel);
                // In bursts, from several sides.
                thread::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(|| {
                            for _ in 0..EVENTS / 40 {
                                channel.post_all((0..10).map(|n| Request::notification().token(n))).unwrap();
                            }
                        });
                    }
                });
                assert_eq!(tokens.iter().take(EVENTS as usize).count(), EVENTS as usize);
                at_most_two_each(&channel);
            });
        });
    });
}

/// Where a pool drives the port nobody is woken to lead.
#[test]
fn an_event_of_a_channel_that_is_served_wakes_one() {
    limit(60, || {
        each_driver(|channel| {
            let serving = serve(&channel);
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut out = Completions::new();
                    while !stop.load(Ordering::SeqCst) {
                        serving.drive(0, Wait::Forever, &mut out).unwrap();
                        out.drain().for_each(|it| {
                            if let Completion::Call(call) = it {
                                call.run()
                            }
                        });
                    }
                });
                let _ends = AtEnd(|| {
                    stop.store(true, Ordering::SeqCst);
                    serving.wake_port(0);
                });
                with_waiters(&channel, |tokens| {
                    for n in 0..EVENTS {
                        channel.post(Request::timer(Duration::ZERO).token(n)).unwrap();
                        assert_eq!(tokens.recv().unwrap(), n);
                    }
                    let metrics = channel.metrics();
                    assert!(metrics.most_woken <= 1 && metrics.wakeups <= EVENTS, "{metrics:?}");
                });
            });
        });
    });
}

#[test]
fn a_notification_that_wakes_all_wakes_all_and_is_no_herd() {
    limit(60, || {
        each_driver(|channel| {
            with_waiters(&channel, |tokens| {
                until_asleep(&channel);
                // Until all of them wait: each round says how many did.
                let mut rounds = 0u64;
                loop {
                    rounds += 1;
                    let before = channel.metrics().completed;
                    channel.post(Request::notification().token(rounds).wake_all()).unwrap();
                    let copies = (channel.metrics().completed - before) as usize;
                    assert!((1..=WAITERS).contains(&copies), "{copies}");
                    assert!(tokens.iter().take(copies).all(|token| token == rounds));
                    if copies == WAITERS {
                        break;
                    }
                    // (Who has just got one is not back yet.)
                    thread::sleep(Duration::from_millis(rounds.min(20)));
                }
                let metrics = channel.metrics();
                assert!(metrics.most_woken <= 2, "{metrics:?}");
            });
            // To leave a channel that has ended is no event.
            assert!(channel.metrics().most_woken <= 2);
        });
    });
}
