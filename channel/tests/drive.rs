//! The pool's side of the channel: driving a port, and being woken in it.

mod common;

use common::{Random, each_driver, serve};
use ec_channel::{Completion, Completions, Request, Wait};
use ec_test_support::limit;
use ec_unkind as _;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One thread sleeps in the port over and over, another calls it at all moments: before, in and after the step into the kernel.
#[test]
fn each_call_ends_a_sleep() {
    limit(120, || {
        each_driver(|channel| {
            let serving = serve(&channel);
            let (asked, answered, end) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
            std::thread::scope(|s| {
                s.spawn(|| {
                    let mut out = Completions::new();
                    while !end.load(Ordering::SeqCst) {
                        answered.store(asked.load(Ordering::SeqCst), Ordering::SeqCst);
                        serving.drive(0, Wait::Forever, &mut out).unwrap();
                    }
                });
                let mut random = Random(11);
                for turn in 1..=100_000 {
                    for _ in 0..random.below(200) {
                        std::hint::spin_loop();
                    }
                    asked.store(turn, Ordering::SeqCst);
                    serving.wake_port(0);
                    while answered.load(Ordering::SeqCst) != turn {
                        std::thread::yield_now();
                    }
                }
                end.store(true, Ordering::SeqCst);
                serving.wake_port(0);
            });
        })
    });
}

#[test]
fn only_one_thread_drives_a_port_at_a_time() {
    limit(30, || {
        each_driver(|channel| {
            let serving = serve(&channel);
            // the call that made getters leave the port is used up first
            serving.drive(0, Wait::For(Duration::from_millis(1)), &mut Completions::new()).unwrap();
            std::thread::scope(|s| {
                let sleeper = s.spawn(|| serving.drive(0, Wait::Forever, &mut Completions::new()).unwrap());
                while !channel.is_asleep(0) {
                    std::thread::yield_now();
                }
                assert!(!serving.drive(0, Wait::Forever, &mut Completions::new()).unwrap());
                serving.wake_port(0);
                assert!(sleeper.join().unwrap());
            });
        })
    });
}

#[test]
fn events_with_a_handler_are_the_driver_s_and_others_the_getters() {
    limit(30, || {
        each_driver(|channel| {
            let serving = serve(&channel);
            channel
                .post(
                    Request::timer(Duration::ZERO)
                        .on_complete(|_, event| assert_eq!(event.token(), 1))
                        .token(1),
                )
                .unwrap();
            channel.post(Request::timer(Duration::ZERO).token(2)).unwrap();
            let mut out = Completions::new();
            assert!(channel.try_get_event().unwrap().is_none(), "a served channel is not driven by getters");
            let (mut calls, mut got) = (0, Vec::new());
            while calls + got.len() < 2 {
                serving.drive(0, Wait::For(Duration::from_millis(1)), &mut out).unwrap();
                for completion in out.drain() {
                    if let Completion::Call(call) = completion {
                        call.run();
                        calls += 1;
                    }
                }
                got.extend(channel.try_get_event().unwrap());
            }
            assert_eq!((calls, got[0].token()), (1, 2));
            drop(serving);
            channel.post(Request::timer(Duration::ZERO).token(3)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 3, "getters drive again");
        })
    });
}

/// What was posted to any port while a pool served the channel is still seen when it has gone.
#[test]
fn requests_left_by_a_pool_reach_those_who_get() {
    limit(30, || {
        for driver in common::drivers() {
            let channel = ec_channel::EventChannel::builder().driver(driver).ports(3).build().unwrap();
            let serving = serve(&channel);
            let pairs: Vec<_> = (0..6).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).collect();
            let mut writers = Vec::new();
            for (token, (a, b)) in pairs.into_iter().enumerate() {
                channel.post(Request::recv(a, Vec::with_capacity(8)).token(token as u64)).unwrap();
                writers.push(b);
            }
            for port in 0..3 {
                serving.drive(port, Wait::No, &mut Completions::new()).unwrap();
            }
            drop(serving);
            std::thread::scope(|s| {
                let getter = s.spawn(|| (0..6).map(|_| channel.get_event().unwrap().token()).sum::<u64>());
                for mut writer in writers {
                    std::thread::sleep(Duration::from_millis(5));
                    std::io::Write::write_all(&mut writer, b"x").unwrap();
                }
                assert_eq!(getter.join().unwrap(), 15);
            });
        }
    });
}

thread_local! {
    /// So many handlers were called on this thread.
    static CALLED: Cell<usize> = const { Cell::new(0) };
}

/// Others drive the port all the time, and what is handled is soon ready again.
#[test]
fn handlers_that_become_ready_time_and_again_do_not_keep_a_caller() {
    const EVENTS: usize = 8;
    limit(60, || {
        each_driver(|channel| {
            for _ in 0..EVENTS {
                let handled = Request::notification().on_complete(|channel, event| {
                    CALLED.set(CALLED.get() + 1);
                    let began = Instant::now();
                    while began.elapsed() < Duration::from_micros(300) {
                        std::hint::spin_loop();
                    }
                    let _ = channel.post(event.again());
                });
                channel.post(handled).unwrap();
            }
            std::thread::scope(|s| {
                s.spawn(|| while channel.get_event().is_ok() {});
                let mut most = 0;
                for turn in 0..200 {
                    CALLED.set(0);
                    let got = match turn % 2 {
                        0 => channel.try_get_event(),
                        _ => channel.get_event_timeout(Duration::from_micros(1)),
                    };
                    assert!(got.unwrap().is_none());
                    most = most.max(CALLED.get());
                }
                channel.shutdown();
                // Those that were ready at first, and those that were when the port had been looked at.
                assert!(most <= 2 * EVENTS, "{most} handlers were called before one call was over");
            });
        })
    });
}
