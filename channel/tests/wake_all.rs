//! What is for all who wait: each of them gets it once, and nobody else.

mod common;

use common::{AtEnd, Random, each_driver, serve};
use ec_channel::{Completions, Event, EventChannel, Request, Wait};
use ec_test_support::limit;
use ec_unkind as _;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const WAITERS: usize = 8;
/// Tokens from here on are for all.
const FOR_ALL: u64 = 1 << 32;
const SOON: Duration = Duration::from_millis(20);

/// Posts it, and says to how many it goes, 0 being: to the next one.
fn post_for_all(channel: &EventChannel, token: u64) -> u64 {
    // (Nobody else posts.)
    let before = channel.metrics().posted;
    channel.post(Request::notification().token(token).wake_all()).unwrap();
    channel.metrics().posted - before
}

/// Those who wait go on waiting as soon as they have got one.
fn rounds(channel: &EventChannel, rounds: u64) {
    let (told, heard) = mpsc::channel();
    thread::scope(|scope| {
        for who in 0..WAITERS {
            let (channel, told) = (&channel, told.clone());
            scope.spawn(move || {
                while let Ok(event) = channel.get_event() {
                    told.send((event.token(), who)).unwrap();
                }
            });
        }
        let ends = AtEnd(|| channel.shutdown());
        let (mut reached_all, mut token) = (0, FOR_ALL);
        while reached_all < rounds {
            token += 1;
            let copies = post_for_all(channel, token);
            let got: Vec<_> = (0..copies).map(|_| heard.recv().unwrap()).collect();
            assert!(got.iter().all(|(it, _)| *it == token), "{got:?} of {token}");
            let those: HashSet<usize> = got.iter().map(|(_, who)| *who).collect();
            assert_eq!(those.len() as u64, copies, "one has got it twice: {got:?}");
            reached_all += u64::from(those.len() == WAITERS);
        }
        drop(ends);
    });
    drop(told);
    assert!(heard.try_recv().is_err(), "and none is left");
}

#[test]
fn each_who_waits_gets_it_once_however_soon_it_comes_back() {
    limit(60, || each_driver(|channel| rounds(&channel, 200)));
}

/// As there, where a pool drives the port.
#[test]
fn each_who_waits_behind_a_pool_gets_it_once() {
    limit(60, || {
        each_driver(|channel| {
            let serving = serve(&channel);
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        serving.drive(0, Wait::Forever, &mut Completions::new()).unwrap();
                    }
                });
                let _ends = AtEnd(|| {
                    over.store(true, Ordering::SeqCst);
                    serving.wake_port(0);
                });
                rounds(&channel, 100);
            });
        })
    });
}

/// One that waits with a limit, and is late, has it; one that does not wait has not.
#[test]
fn who_does_not_wait_gets_none_but_if_nobody_does() {
    limit(30, || {
        each_driver(|channel| {
            assert_eq!(post_for_all(&channel, 1), 1);
            assert_eq!(channel.try_get_event().unwrap().unwrap().token(), 1);
            thread::scope(|scope| {
                let waits = scope.spawn(|| channel.get_event().unwrap().token());
                common::until_asleep(&channel);
                // It was there before, and waits no more: two are not too many for one.
                assert_eq!(post_for_all(&channel, 2), 1);
                assert_eq!(waits.join().unwrap(), 2);
            });
            assert!(channel.try_get_event().unwrap().is_none());
            assert!(channel.get_event_timeout(Duration::ZERO).unwrap().is_none());
            // It goes with what was put into it to one of those who wait.
            thread::scope(|scope| {
                let waits: Vec<_> = (0..3).map(|_| scope.spawn(|| channel.get_event().unwrap())).collect();
                thread::sleep(SOON);
                let mut copies = 0;
                while copies < 3 {
                    let before = channel.metrics().posted;
                    channel.post(Request::notification().context(Box::new("mine")).wake_all()).unwrap();
                    copies += channel.metrics().posted - before;
                }
                let events: Vec<Event> = waits.into_iter().map(|waits| waits.join().unwrap()).collect();
                let with_context = events.into_iter().filter_map(|mut event| event.take_context()).count();
                assert!(with_context >= 1);
            });
            while channel.try_get_event().unwrap().is_some() {}
        })
    });
}

/// Those who wait take timers, notifications and batches, or give up, while much else comes. Each of what is for all comes to one of them
/// once; and in the end all has come.
#[test]
fn under_fire_none_has_it_twice_and_none_is_lost() {
    limit(120, || {
        each_driver(|channel| {
            let (told, heard) = mpsc::channel();
            let (others, for_all) = (4_000, 1_000);
            thread::scope(|scope| {
                for who in 0..WAITERS {
                    let (channel, told) = (&channel, told.clone());
                    scope.spawn(move || {
                        let mut random = Random(who as u64 + 3);
                        let mut out = Vec::new();
                        loop {
                            let limit = Duration::from_micros(random.below(300));
                            let got = match random.below(4) {
                                0 => channel.get_event().map(|event| out.push(event)),
                                1 => channel.get_event_timeout(limit).map(|event| out.extend(event)),
                                2 => channel.get_events(&mut out, 3, Some(limit)).map(drop),
                                _ => channel.try_get_event().map(|event| out.extend(event)),
                            };
                            out.drain(..).for_each(|event: Event| told.send((event.token(), who)).unwrap());
                            if got.is_err() {
                                return;
                            }
                        }
                    });
                }
                let posts = scope.spawn(|| {
                    let mut random = Random(77);
                    for n in 0..others {
                        let request = match random.below(3) {
                            0 => Request::timer(Duration::from_micros(random.below(90))),
                            _ => Request::notification(),
                        };
                        channel.post(request.token(n)).unwrap();
                    }
                });
                for n in 0..for_all {
                    channel.post(Request::notification().token(FOR_ALL + n).wake_all()).unwrap();
                    if n % 7 == 0 {
                        thread::yield_now();
                    }
                }
                posts.join().unwrap();
                channel.shutdown();
            });
            drop(told);
            let got: Vec<(u64, usize)> = heard.iter().collect();
            assert_eq!(got.len() as u64, channel.metrics().posted, "all that was posted has come");
            let mut each: HashMap<u64, Vec<usize>> = HashMap::new();
            got.into_iter().for_each(|(token, who)| each.entry(token).or_default().push(who));
            assert_eq!(each.len() as u64, others + for_all);
            for (token, those) in each {
                let apart: HashSet<&usize> = those.iter().collect();
                assert_eq!(apart.len(), those.len(), "{token:#x} has come twice to one of {those:?}");
                assert!(token >= FOR_ALL || those.len() == 1, "{token} has come to {those:?}");
            }
        })
    });
}
