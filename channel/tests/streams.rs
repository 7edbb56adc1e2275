//! Streams: each item once, in order, then exactly one last event; no more items than there is credit for.

mod common;

use common::{Random, each_driver, none_for, pair, serve};
use ec_channel::{Completion, Completions, Event, EventChannel, EventId, EventKind, Interest, Request, Wait};
use ec_test_support::limit;
use ec_unkind as _;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(100);

/// One byte of what there is.
fn take_byte(near: &UnixStream) {
    let mut near = near;
    near.read_exact(&mut [0]).unwrap();
}

#[test]
fn ticks_come_when_they_were_said_to() {
    limit(30, || {
        each_driver(|channel| {
            let start = Instant::now();
            let id = channel.post(Request::interval(3 * TICK).token(4)).unwrap();
            let mut ticks = 0;
            while ticks < 10 {
                let event = channel.get_event().unwrap();
                assert_eq!((event.id(), event.token(), event.kind()), (id, 4, EventKind::Timer));
                assert!(!event.is_last() && event.result().is_ok() && event.failure().is_none());
                ticks += 1 + event.missed() as u32;
                // However late the one before was.
                assert!(start.elapsed() >= ticks * 3 * TICK, "tick {ticks} is early");
            }
            assert!(channel.cancel(id));
            let last = until_last(&channel, id);
            assert!(last.is_cancelled());
            assert!(!channel.cancel(id));
            none_for(&channel, 5 * TICK);
            let counts = channel.metrics();
            assert_eq!((counts.posted, counts.completed, counts.in_flight), (1, 1, 0));
            assert!(counts.items <= u64::from(ticks) + 64);
        })
    });
}

/// The last event of the stream, after its items.
fn until_last(channel: &EventChannel, id: EventId) -> Event {
    loop {
        let event = channel.get_event().unwrap();
        assert_eq!(event.id(), id);
        if event.is_last() {
            return event;
        }
    }
}

/// Fails if a tick is put off by one that was late.
#[test]
fn missed_ticks_are_counted_and_the_rest_keep_their_places() {
    limit(30, || {
        each_driver(|channel| {
            let first = Instant::now() + TICK;
            channel.post(Request::interval_at(first, TICK)).unwrap();
            let mut ticks = 0;
            for _ in 0..5 {
                std::thread::sleep(5 * TICK + TICK / 3);
                let event = channel.get_event().unwrap();
                let now = Instant::now();
                ticks += 1 + event.missed();
                // It is the youngest that there is, as of some moment after the one before.
                assert!(first + TICK * (ticks as u32 - 1) <= now, "tick {ticks} is early");
            }
            assert!(ticks >= 21, "{ticks} in 25 ms: those that were missed are not counted");
            channel.shutdown();
        })
    });
}

/// No more than credit says, with somebody who looks after the port and takes none.
#[test]
fn no_more_items_come_than_there_is_credit_for() {
    limit(30, || {
        each_driver(|channel| {
            for (asked, most) in [(None, 64), (Some(5), 5), (Some(0), 1)] {
                let ticks = Request::interval(TICK / 20);
                let ticks = match asked {
                    Some(credit) => ticks.credit(credit),
                    None => ticks,
                };
                let before = channel.metrics().items;
                let id = channel.post(ticks).unwrap();
                let serving = serve(&channel);
                let mut out = Completions::new();
                let come = || channel.metrics().items - before;
                while come() < most {
                    serving.drive(0, Wait::For(TICK), &mut out).unwrap();
                }
                for _ in 0..10 {
                    serving.drive(0, Wait::For(TICK), &mut out).unwrap();
                }
                assert_eq!(come(), most);
                drop(serving);
                // Each that is taken lets one more come; those that were missed are counted.
                let mut missed = 0;
                for _ in 0..most + 3 {
                    missed += channel.get_event().unwrap().missed();
                }
                assert!(missed > 0);
                channel.cancel(id);
                until_last(&channel, id);
            }
        })
    });
}

#[test]
fn readiness_comes_again_when_its_item_has_gone() {
    limit(30, || {
        each_driver(|channel| {
            let (near, mut far) = UnixStream::pair().unwrap();
            let near = Arc::new(near);
            let id = channel.post(Request::readiness_stream(near.clone(), Interest::READABLE)).unwrap();
            none_for(&channel, SOON);
            far.write_all(b"123").unwrap();
            for _ in 0..3 {
                let item = channel.get_event().unwrap();
                assert_eq!((item.id(), item.ready(), item.is_last()), (id, Interest::READABLE, false));
                // Not while it is held, although it is ready still.
                none_for(&channel, SOON);
                take_byte(&near);
            }
            none_for(&channel, SOON);
            far.write_all(b"45").unwrap();
            drop(channel.get_event().unwrap());
            let item = channel.get_event().unwrap();
            assert_eq!(item.ready(), Interest::READABLE, "level semantics: it was not taken");
            channel.cancel(id);
            let last = channel.get_event().unwrap();
            assert!(last.is_last() && last.is_cancelled() && last.ready() != Interest::READABLE);
            drop(item);
            none_for(&channel, SOON);
        })
    });
}

#[test]
fn a_stream_ends_with_its_time_limit_paused_or_not() {
    limit(30, || {
        each_driver(|channel| {
            let (near, mut far) = pair();
            far.write_all(b"x").unwrap();
            channel.post(Request::readiness_stream(near.clone(), Interest::READABLE).within(SOON)).unwrap();
            channel.post(Request::readiness_stream(near, Interest::PRIORITY).within(SOON)).unwrap();
            channel.post(Request::interval(LONG).within(SOON)).unwrap();
            channel.post(Request::interval(TICK).credit(1).within(SOON)).unwrap();
            let (mut items, mut last) = (Vec::new(), 0);
            while last < 4 {
                let event = channel.get_event().unwrap();
                if event.is_last() {
                    assert!(event.is_timed_out(), "{event:?}");
                    last += 1;
                } else {
                    items.push(event);
                }
            }
            assert!(items.iter().any(|item| item.ready() == Interest::READABLE));
            assert!(items.iter().any(|item| item.kind() == EventKind::Timer));
            drop(items);
            none_for(&channel, SOON);
        })
    });
}

#[test]
fn what_never_comes_neither_overflows_nor_spins() {
    limit(30, || {
        each_driver(|channel| {
            let ids = [
                channel.post(Request::interval(Duration::MAX)).unwrap(),
                channel.post(Request::interval(LONG).within(Duration::MAX)).unwrap(),
            ];
            none_for(&channel, SOON);
            // No time at all is as short as can be.
            let id = channel.post(Request::interval(Duration::ZERO)).unwrap();
            let first = channel.get_event().unwrap();
            let second = channel.get_event().unwrap();
            assert!(first.id() == id && second.id() == id && second.missed() > 1000);
            channel.cancel(id);
            until_last(&channel, id);
            for id in ids {
                channel.cancel(id);
                assert!(channel.get_event().unwrap().is_cancelled());
            }
        })
    });
}

#[test]
fn an_error_is_the_last_event() {
    limit(30, || {
        each_driver(|channel| {
            use std::os::unix::fs::OpenOptionsExt;
            let path = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/").unwrap();
            channel.post(Request::readiness_stream(path, Interest::READABLE)).unwrap();
            let event = channel.get_event().unwrap();
            assert!(event.is_last());
            assert_eq!(
                event.failure().unwrap().to_string().split(':').next(),
                Some("readiness on its descriptor")
            );
            assert_eq!(event.failure().unwrap().errno(), libc::EBADF);
            none_for(&channel, SOON);
        })
    });
}

#[test]
fn an_item_is_no_request_and_the_last_event_is() {
    limit(30, || {
        each_driver(|channel| {
            let context = Box::new("of the stream");
            let id = channel.post(Request::interval(TICK).token(3).context(context)).unwrap();
            let mut item = channel.get_event().unwrap();
            assert!(item.take_context().is_none());
            let refused = channel.post(item.again()).unwrap_err();
            assert!(refused.to_string().contains("an item of a stream"), "{refused}");
            assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::InvalidInput);
            channel.cancel(id);
            let last = until_last(&channel, id);
            let id = channel.post(last.again()).unwrap();
            let item = channel.get_event().unwrap();
            assert!(!item.is_last() && item.id() == id && item.token() == 3);
            channel.cancel(id);
            let context = until_last(&channel, id).take_context().unwrap();
            assert_eq!(*context.downcast::<&str>().unwrap(), "of the stream");
        })
    });
}

/// Fails if an item comes while the handler of the one before still runs, or the last event does.
#[test]
fn a_handler_gets_items_one_at_a_time_and_then_the_last_event() {
    limit(60, || {
        each_driver(|channel| {
            let (near, mut far) = pair();
            far.write_all(b"x").unwrap();
            let (inside, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
            let handler = {
                let (inside, seen) = (inside.clone(), seen.clone());
                move |channel: &EventChannel, event: Event| {
                    assert!(!inside.swap(true, Ordering::SeqCst), "two at once");
                    let (id, last) = (event.id(), event.is_last());
                    // Held by whoever likes: it is for the handler to return.
                    drop(event);
                    let count = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(last);
                        seen.len()
                    };
                    std::thread::sleep(TICK / 4);
                    if count == 20 {
                        channel.cancel(id);
                    }
                    std::thread::sleep(TICK / 4);
                    inside.store(false, Ordering::SeqCst);
                    if last {
                        channel.post(Request::notification().token(8)).unwrap();
                    }
                }
            };
            let streams =
                [Request::readiness_stream(near, Interest::READABLE), Request::interval(TICK / 10).credit(9)];
            for stream in streams {
                channel.post(stream.on_complete(handler.clone())).unwrap();
                // Several who could call it.
                std::thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| channel.get_event_timeout(SOON).unwrap());
                    }
                });
                if seen.lock().unwrap().len() < 21 {
                    assert_eq!(channel.get_event().unwrap().token(), 8);
                }
                let seen = std::mem::take(&mut *seen.lock().unwrap());
                assert_eq!((seen.len(), seen.iter().position(|last| *last)), (21, Some(20)));
            }
            none_for(&channel, Duration::ZERO);
            assert_eq!(channel.metrics().handlers_due, 0);
        })
    });
}

#[test]
fn a_shutdown_ends_streams_paused_ones_too() {
    limit(30, || {
        each_driver(|channel| {
            let (near, mut far) = pair();
            far.write_all(b"x").unwrap();
            channel.post(Request::readiness_stream(near.clone(), Interest::READABLE)).unwrap();
            let held = channel.get_event().unwrap();
            channel.post(Request::interval(LONG)).unwrap();
            let calls = Arc::new(AtomicUsize::new(0));
            let counted = calls.clone();
            let with_handler = Request::interval(TICK).on_complete(move |channel, event| {
                counted.fetch_add(1, Ordering::SeqCst);
                // From within: it ends when this has returned.
                channel.shutdown();
                assert!(event.is_last() == (counted.load(Ordering::SeqCst) == 2));
            });
            channel.post(with_handler).unwrap();
            let mut last = 0;
            while let Ok(event) = channel.get_event() {
                assert!(event.is_last() && event.is_cancelled());
                last += 1;
            }
            assert_eq!((last, calls.load(Ordering::SeqCst)), (2, 2));
            drop(held);
        })
    });
}

/// Items outlive the channel, and go wherever they like.
#[test]
fn a_dropped_channel_takes_its_streams_along() {
    limit(30, || {
        each_driver(|channel| {
            let (near, mut far) = pair();
            far.write_all(b"x").unwrap();
            channel.post(Request::readiness_stream(near, Interest::READABLE)).unwrap();
            channel.post(Request::interval(TICK).on_complete(|_, _| ())).unwrap();
            channel.post(Request::interval(TICK)).unwrap();
            let mut held = vec![channel.get_event().unwrap(), channel.get_event().unwrap()];
            std::thread::sleep(5 * TICK);
            let before = Instant::now();
            drop(channel);
            assert!(
                before.elapsed() < Duration::from_millis(900),
                "it has waited for a stream that cannot end"
            );
            std::thread::spawn(move || held.clear()).join().unwrap();
            // (Its descriptor went with the stream.)
            far.set_nonblocking(true).unwrap();
            assert_ne!(far.read(&mut [0]).map_err(|e| e.kind()), Err(io::ErrorKind::WouldBlock));
        })
    });
}

/// Streams of each kind, with and without handlers, cancelled at random, got and held and dropped by many: what is counted adds up.
#[test]
fn under_fire_each_stream_has_its_items_in_order_and_one_last_event() {
    limit(120, || {
        each_driver(|channel| {
            let rounds = if cfg!(debug_assertions) { 300 } else { 3000 };
            let (near, mut far) = pair();
            far.write_all(b"x").unwrap();
            let (last, handled, items) =
                (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
            let with_handlers = 4 * rounds;
            let posters = AtomicUsize::new(4);
            std::thread::scope(|scope| {
                for n in 0..4 {
                    let (channel, near, handled, posters) = (&channel, &near, &handled, &posters);
                    scope.spawn(move || {
                        let mut random = Random(0x51_u64.wrapping_mul(n + 7));
                        let mut open = Vec::new();
                        for round in 0..2 * rounds {
                            let stream = match random.below(3) {
                                0 => Request::interval(Duration::from_micros(random.below(300))),
                                1 => Request::interval(Duration::from_micros(50)).within(TICK),
                                _ => Request::readiness_stream(near.clone(), Interest::READABLE),
                            };
                            let mut stream = stream.credit(random.below(5) as u32).token(1);
                            if round % 2 == 0 {
                                let (handled, over) = (handled.clone(), AtomicBool::new(false));
                                stream = stream.on_complete(move |_, event| {
                                    assert!(!over.load(Ordering::SeqCst), "after the last event");
                                    if event.is_last() {
                                        over.store(true, Ordering::SeqCst);
                                        handled.fetch_add(1, Ordering::SeqCst);
                                    }
                                });
                            }
                            open.push(channel.post(stream).unwrap());
                            while open.len() > random.below(8) as usize {
                                let id = open.swap_remove(random.below(open.len() as u64) as usize);
                                channel.cancel(id);
                            }
                        }
                        open.iter().for_each(|id| _ = channel.cancel(*id));
                        posters.fetch_sub(1, Ordering::SeqCst);
                    });
                }
                for n in 0..3 {
                    let (channel, last, items, handled) = (&channel, &last, &items, &handled);
                    scope.spawn(move || {
                        let mut random = Random(0x77_u64.wrapping_mul(n + 3));
                        let mut held = Vec::new();
                        while let Ok(event) = channel.get_event() {
                            if event.is_last() {
                                assert_eq!(event.token(), 1);
                                last.fetch_add(1, Ordering::SeqCst);
                            } else {
                                items.fetch_add(1, Ordering::SeqCst);
                                held.push(event);
                            }
                            if random.below(4) == 0 {
                                held.truncate(random.below(3) as usize);
                            }
                            if last.load(Ordering::SeqCst) + handled.load(Ordering::SeqCst) == 8 * rounds {
                                channel.shutdown();
                            }
                        }
                    });
                }
                while posters.load(Ordering::SeqCst) > 0 || channel.metrics().in_flight > 0 {
                    std::thread::sleep(TICK);
                }
                channel.shutdown();
            });
            assert_eq!(handled.load(Ordering::SeqCst), with_handlers);
            assert_eq!(last.load(Ordering::SeqCst), 8 * rounds - with_handlers);
            let counts = channel.metrics();
            assert_eq!((counts.in_flight, counts.handlers_due), (0, 0));
            assert!(counts.items as usize >= items.load(Ordering::SeqCst));
            assert!(channel.get_event().unwrap_err().to_string().contains("shut down"));
        })
    });
}

/// Where a pool drives the ports, handlers are its own.
#[test]
fn a_pool_runs_the_handlers_of_streams_one_at_a_time() {
    limit(30, || {
        each_driver(|channel| {
            let serving = serve(&channel);
            let seen = Arc::new(AtomicUsize::new(0));
            let counted = seen.clone();
            let id = channel
                .post(Request::interval(TICK / 4).on_complete(move |_, _| {
                    counted.fetch_add(1, Ordering::SeqCst);
                }))
                .unwrap();
            let mut out = Completions::new();
            for calls in 1..=10 {
                while out.is_empty() {
                    serving.drive(0, Wait::Forever, &mut out).unwrap();
                }
                let mut batch: Vec<Completion> = out.drain().collect();
                assert_eq!(batch.len(), 1);
                // Not run yet: nothing more comes.
                serving.drive(0, Wait::For(3 * TICK), &mut out).unwrap();
                assert!(out.is_empty() && seen.load(Ordering::SeqCst) == calls - 1);
                match batch.pop() {
                    Some(Completion::Call(call)) => call.run(),
                    _ => panic!("it has a handler"),
                }
                assert_eq!(seen.load(Ordering::SeqCst), calls);
            }
            channel.cancel(id);
            while channel.metrics().in_flight > 0 {
                serving.drive(0, Wait::For(TICK), &mut out).unwrap();
                out.drain().for_each(|it| match it {
                    Completion::Call(call) => call.run(),
                    Completion::Raw(_) => panic!("there is no such operation"),
                });
            }
            assert_eq!(channel.metrics().handlers_due, 0);
        })
    });
}

/// By their order: what a getter fetches of one stream is older than what comes after, whoever leads.
#[test]
fn items_are_fetched_in_their_order() {
    limit(60, || {
        each_driver(|channel| {
            let seen: Mutex<HashMap<EventId, bool>> = Mutex::default();
            let (ended, posted) = (AtomicUsize::new(0), 200);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        loop {
                            // Fetched under the lock: in the order in which they are noted.
                            let mut seen = seen.lock().unwrap();
                            match channel.try_get_event() {
                                Ok(Some(event)) => {
                                    let over = seen.entry(event.id()).or_default();
                                    assert!(!*over, "an item after the last event");
                                    *over = event.is_last();
                                    ended.fetch_add(usize::from(*over), Ordering::SeqCst);
                                }
                                Ok(None) => {
                                    drop(seen);
                                    std::thread::yield_now();
                                }
                                Err(_) => break,
                            }
                        }
                    });
                }
                for n in 0..posted {
                    channel.post(Request::interval(TICK / 20).within(TICK).credit(1 + n % 7)).unwrap();
                    if n % 10 == 0 {
                        std::thread::sleep(TICK);
                    }
                }
                while ended.load(Ordering::SeqCst) < posted as usize {
                    std::thread::sleep(TICK);
                }
                channel.shutdown();
            });
        })
    });
}
