//! No event lost, none twice: many requests, random cancels, limits and getters.
//!
//! `EC_STRESS_EVENTS` sets the number of events for each driver and number of getters (the full run has 1,000,000 a driver).

mod common;

use common::{Random, drivers};
use ec_channel::{EventChannel, EventId, EventKind, Request, Source};
use ec_test_support::limit;
use ec_unkind as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn events() -> usize {
    std::env::var("EC_STRESS_EVENTS").ok().and_then(|s| s.parse().ok()).unwrap_or(60_000)
}

/// What happened to the events of one run.
#[derive(Default)]
struct Tally {
    done: AtomicU64,
    cancelled: AtomicU64,
    timed_out: AtomicU64,
    received: AtomicU64,
}

/// Posts `n` events of every kind from two threads while `getters` threads get them, a third thread cancels at random, and a
/// fourth writes the bytes that are to be received. Every token must come back once, every byte arrive once.
fn storm(channel: &EventChannel, n: usize, getters: usize) -> Tally {
    let seen: Vec<AtomicU8> = (0..n).map(|_| AtomicU8::new(0)).collect();
    let tally = Tally::default();
    let (got, posted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (reader, mut writer) = UnixStream::pair().unwrap();
    let mut leftover = reader.try_clone().unwrap();
    let reader = Source::from(reader);
    let (silent, _mute) = UnixStream::pair().unwrap();
    let silent = Source::from(silent);
    let recent: Mutex<Vec<EventId>> = Mutex::default();
    let written = AtomicU64::new(0);
    std::thread::scope(|s| {
        for g in 0..getters {
            let (seen, tally, got) = (&seen, &tally, &got);
            s.spawn(move || {
                let mut random = Random(g as u64 + 99);
                let mut batch = Vec::new();
                loop {
                    // a getter that gives up waiting must not take an event with it
                    let max = 1 + random.below(8) as usize;
                    let wait = (random.below(3) == 0).then(|| Duration::from_micros(random.below(300)));
                    match channel.get_events(&mut batch, max, wait) {
                        Ok(_) => {}
                        Err(e) if e.to_string().contains("shut down") => return,
                        Err(e) => panic!("{e}"),
                    }
                    for event in batch.drain(..) {
                        assert_eq!(
                            seen[event.token() as usize].fetch_add(1, Ordering::SeqCst),
                            0,
                            "twice: {event:?}"
                        );
                        let tell = if event.is_cancelled() {
                            &tally.cancelled
                        } else if event.is_timed_out() {
                            &tally.timed_out
                        } else {
                            &tally.done
                        };
                        tell.fetch_add(1, Ordering::SeqCst);
                        if event.kind() == EventKind::Recv {
                            tally.received.fetch_add(event.buffer().len() as u64, Ordering::SeqCst);
                        }
                        got.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        let posters: Vec<_> = (0..2)
            .map(|p| {
                let (reader, silent) = (reader.clone(), silent.clone());
                let (recent, posted, got) = (&recent, &posted, &got);
                s.spawn(move || {
                    let mut random = Random(p as u64 + 1);
                    for token in (p..n).step_by(2) {
                        let request = match random.below(10) {
                            0..4 => Request::recv(
                                reader.clone(),
                                Vec::with_capacity(1 + random.below(4) as usize),
                            )
                            .within(Duration::from_micros(50 + random.below(30_000))),
                            4..7 => Request::timer(Duration::from_micros(random.below(3_000))),
                            // nobody writes there, so it ends by its limit or a cancel
                            7 => Request::recv(silent.clone(), Vec::with_capacity(1))
                                .within(Duration::from_millis(random.below(20))),
                            _ => Request::notification(),
                        };
                        let id = channel.post(request.token(token as u64)).unwrap();
                        if random.below(16) == 0 {
                            channel.cancel(id);
                        } else if random.below(4) == 0 {
                            recent.lock().unwrap().push(id);
                        }
                        posted.fetch_add(1, Ordering::SeqCst);
                        // (More may be got between the two looks than were posted at the first.)
                        while posted.load(Ordering::SeqCst).saturating_sub(got.load(Ordering::SeqCst)) > 2_000
                        {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let canceller = s.spawn(|| {
            let mut random = Random(5);
            while posted.load(Ordering::SeqCst) < n {
                let ids = std::mem::take(&mut *recent.lock().unwrap());
                for id in ids {
                    if random.below(3) == 0 {
                        std::thread::yield_now();
                    }
                    channel.cancel(id);
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        let bytes = s.spawn(|| {
            writer.set_nonblocking(true).unwrap();
            let mut random = Random(17);
            while got.load(Ordering::SeqCst) < n {
                if let Ok(sent) = writer.write(&[9; 16][..1 + random.below(16) as usize]) {
                    written.fetch_add(sent as u64, Ordering::SeqCst);
                }
                std::thread::sleep(Duration::from_micros(random.below(60)));
            }
        });
        posters.into_iter().for_each(|p| p.join().unwrap());
        canceller.join().unwrap();
        bytes.join().unwrap();
        channel.shutdown();
    });
    assert_eq!(got.load(Ordering::SeqCst), n);
    assert!(seen.iter().all(|s| s.load(Ordering::SeqCst) == 1));
    // what no receive took is still in the socket: a cancelled receive swallows nothing
    leftover.set_nonblocking(true).unwrap();
    let (mut rest, mut buffer) = (0, [0; 4096]);
    while let Ok(n @ 1..) = leftover.read(&mut buffer) {
        rest += n as u64;
    }
    assert_eq!(tally.received.load(Ordering::SeqCst) + rest, written.load(Ordering::SeqCst), "bytes");
    let m = channel.metrics();
    assert_eq!((m.posted, m.completed, m.in_flight), (n as u64, n as u64, 0));
    tally
}

#[test]
fn a_storm_of_events_with_cancels_limits_and_one_to_eight_getters() {
    limit(1200, || {
        for driver in drivers() {
            for getters in [1, 2, 4, 8] {
                let channel = EventChannel::builder().driver(driver).build().unwrap();
                let n = events() / 4;
                let t = storm(&channel, n, getters);
                let [done, cancelled, timed_out, received] =
                    [&t.done, &t.cancelled, &t.timed_out, &t.received].map(|a| a.load(Ordering::SeqCst));
                println!(
                    "{driver}, {getters} getters: {n} posted, {done} done, {cancelled} cancelled, {timed_out} timed out, {received} bytes"
                );
                assert_eq!(done + cancelled + timed_out, n as u64);
                assert!(done > 0 && cancelled > 0 && timed_out > 0, "the storm is to have all of them");
            }
        }
    });
}

#[test]
fn shutdown_in_the_middle_of_a_storm_returns_everything_posted() {
    limit(120, || {
        for driver in drivers() {
            for round in 0..30 {
                let channel = EventChannel::builder().driver(driver).build().unwrap();
                let (a, _b) = UnixStream::pair().unwrap();
                let a = Source::from(a);
                let (posted, got) = (AtomicUsize::new(0), AtomicUsize::new(0));
                std::thread::scope(|s| {
                    for _ in 0..3 {
                        s.spawn(|| {
                            while channel.get_event().is_ok() {
                                got.fetch_add(1, Ordering::SeqCst);
                            }
                        });
                    }
                    for p in 0..2 {
                        let (channel, a, posted) = (&channel, &a, &posted);
                        s.spawn(move || {
                            let mut random = Random(round * 2 + p + 1);
                            loop {
                                let request = match random.below(3) {
                                    0 => Request::recv(a.clone(), Vec::with_capacity(8)),
                                    1 => Request::timer(Duration::from_micros(random.below(1_000_000))),
                                    _ => Request::notification(),
                                };
                                if channel.post(request).is_err() {
                                    return;
                                }
                                posted.fetch_add(1, Ordering::SeqCst);
                            }
                        });
                    }
                    std::thread::sleep(Duration::from_micros(200 * round));
                    channel.shutdown();
                });
                assert_eq!(got.load(Ordering::SeqCst), posted.load(Ordering::SeqCst));
            }
        }
    });
}

/// Each waiter that gives up as its event arrives must leave it for the next.
#[test]
fn a_waiter_that_times_out_takes_no_event_with_it() {
    limit(60, || {
        for driver in drivers() {
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            let n = 3_000;
            let got = Arc::new(AtomicUsize::new(0));
            std::thread::scope(|s| {
                for g in 0..4 {
                    let (channel, got) = (&channel, got.clone());
                    s.spawn(move || {
                        let mut random = Random(g + 1);
                        while got.load(Ordering::SeqCst) < n {
                            if channel
                                .get_event_timeout(Duration::from_micros(random.below(120)))
                                .unwrap()
                                .is_some()
                            {
                                got.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    });
                }
                let mut random = Random(3);
                for _ in 0..n {
                    channel.post(Request::timer(Duration::from_micros(random.below(200)))).unwrap();
                    if random.below(8) == 0 {
                        std::thread::sleep(Duration::from_micros(random.below(100)));
                    }
                }
            });
            assert_eq!(got.load(Ordering::SeqCst), n);
        }
    });
}
