//! No event lost, none twice: many requests and streams, random cancels, limits and getters.
//!
//! `EC_STRESS_EVENTS` sets the number of events for each driver (the full run has 10,000,000).

mod common;

use common::storm::streams::Sort;
use common::storm::{KINDS, Storm};
use common::{Random, drivers};
use ec_channel::{ChannelBuilder, Driver, EventChannel, EventKind, Interest, Request, Source};
use ec_test_support::{alone, limit};
use ec_unkind as _;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

fn events() -> usize {
    std::env::var("EC_STRESS_EVENTS").ok().and_then(|s| s.parse().ok()).unwrap_or(60_000)
}

/// The limit of a test against hangs, in seconds.
fn hang() -> u64 {
    120 + events() as u64 / 10_000
}

/// A storm on a channel of its own, and what is to come of each.
fn storm_on(builder: ChannelBuilder, storm: Storm) {
    let channel = builder.build().unwrap();
    let began = Instant::now();
    let t = common::storm::storm(&channel, storm);
    let [done, cancelled, timed_out, failed, deaths, panics] =
        [&t.done, &t.cancelled, &t.timed_out, &t.failed, &t.deaths, &t.panics].map(|n| n.load(SeqCst));
    let [ticks, readiness, posts] = Sort::ALL.map(|sort| t.streams.items[sort as usize].load(SeqCst));
    let ended_in_pause = t.streams.ended_in_pause.load(SeqCst);
    println!(
        "{}, {} posters, {} getters: {} posted, {done} done, {cancelled} cancelled, {timed_out} timed out, \
         {failed} failed; items of streams: {ticks} ticks, {readiness} readiness, {posts} posts, \
         {ended_in_pause} ended in a pause; {deaths} getters died, {panics} other panics; {:?}",
        channel.driver().kind(),
        storm.posters,
        storm.getters,
        storm.events,
        began.elapsed()
    );
    assert_eq!(done + cancelled + timed_out + failed, storm.events as u64);
    assert!(done > 0 && cancelled > 0 && timed_out > 0, "the storm is to have all of them");
    // (Where all ports are in use nobody can connect.)
    let excused = |kind: &EventKind| failed > 0 && matches!(kind, EventKind::Accept | EventKind::Connect);
    let never = KINDS.iter().filter(|kind| t.kinds.of(**kind).load(SeqCst) == 0);
    let never: Vec<_> = never.filter(|kind| !excused(kind)).collect();
    assert!(never.is_empty(), "not one of these was done: {never:?}");
    assert!(ticks > 0 && readiness > 0 && posts > 0, "items of all sorts");
    // (Of a few thousand there are some, as a rule.)
    assert!(ended_in_pause > 0 || storm.events < 10_000, "none ended in a pause");
    assert!(!storm.panics || deaths > 0 && panics > 0);
}

#[test]
fn a_storm_of_all_kinds_from_eight_posters_to_eight_getters() {
    alone(hang(), || {
        for driver in drivers() {
            let storm = Storm { events: events(), posters: 8, getters: 8, panics: false };
            storm_on(EventChannel::builder().driver(driver), storm);
        }
    });
}

#[test]
fn a_storm_through_a_submission_queue_of_eight() {
    alone(hang(), || {
        for driver in drivers() {
            let events = if driver == Driver::IoUring { events() } else { 4_000 };
            let storm = Storm { events, posters: 8, getters: 8, panics: false };
            storm_on(EventChannel::builder().driver(driver).queue_depth(8), storm);
        }
    });
}

#[test]
fn a_storm_that_one_or_two_get() {
    alone(hang(), || {
        for driver in drivers() {
            for getters in [1, 2] {
                let storm = Storm { events: events() / 3, posters: 2, getters, panics: false };
                storm_on(EventChannel::builder().driver(driver), storm);
            }
        }
    });
}

/// Getters whose threads end in the middle, with events in their hands; handlers, what they are given, descriptors and iterators that
/// panic: what has come to them is theirs, and all else comes back.
#[test]
fn a_storm_in_which_getters_die_and_all_of_the_program_panics_at_times() {
    alone(hang(), || {
        for driver in drivers() {
            let storm = Storm { events: events() / 2, posters: 8, getters: 8, panics: true };
            storm_on(EventChannel::builder().driver(driver), storm);
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
                let (posted, got, items) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
                std::thread::scope(|s| {
                    for _ in 0..3 {
                        s.spawn(|| {
                            while let Ok(event) = channel.get_event() {
                                let count = if event.is_last() { &got } else { &items };
                                count.fetch_add(1, Ordering::SeqCst);
                            }
                        });
                    }
                    for p in 0..2 {
                        let (channel, a, posted) = (&channel, &a, &posted);
                        s.spawn(move || {
                            let mut random = Random(round * 2 + p + 1);
                            loop {
                                let request = match random.below(5) {
                                    0 => Request::recv(a.clone(), Vec::with_capacity(8)),
                                    1 => Request::timer(Duration::from_micros(random.below(1_000_000))),
                                    2 => {
                                        Request::interval(Duration::from_micros(random.below(500))).credit(2)
                                    }
                                    3 => Request::readiness_stream(a.clone(), Interest::WRITABLE),
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
                assert_eq!(items.load(Ordering::SeqCst) as u64, channel.metrics().items);
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

/// Each has led, or was about to: it dies with the only event there is, and another one goes on.
#[test]
fn getters_that_die_one_after_the_other_each_with_its_event_leave_the_lead_to_the_next() {
    limit(60, || {
        for driver in drivers() {
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            let (near, mut far) = UnixStream::pair().unwrap();
            let near = Source::from(near);
            let (told, heard) = mpsc::channel();
            thread::scope(|s| {
                let getters: Vec<_> = (0..16)
                    .map(|_| {
                        let (channel, told) = (&channel, told.clone());
                        s.spawn(move || {
                            let event = channel.get_event().unwrap();
                            told.send(event.token()).unwrap();
                            // (A panic, without its message.)
                            resume_unwind(Box::new("on purpose"));
                        })
                    })
                    .collect();
                for token in 0..16 {
                    common::until_asleep(&channel);
                    channel.post(Request::recv(near.clone(), Vec::with_capacity(1)).token(token)).unwrap();
                    far.write_all(b"x").unwrap();
                    assert_eq!(heard.recv().unwrap(), token);
                }
                assert!(getters.into_iter().all(|getter| getter.join().is_err()));
            });
            channel.post(Request::timer(Duration::ZERO).token(16)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 16);
        }
    });
}
