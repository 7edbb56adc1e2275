//! What is ready of one source holds back no other: in a channel by itself, whatever is posted again and again.

mod common;

use common::each_driver;
use ec_channel::{Event, EventChannel, Interest, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A timer is late by as much, and more.
const TICK: Duration = Duration::from_millis(1);
const HOG: u64 = 1;
const VICTIM: u64 = 2;
/// As many as may come between two looks at the port, twice: the first look may have been a moment too early. And what was ready
/// before, and what a look brings.
const MOST: usize = 2 * 64 + 4 * HOGS;
const HOGS: usize = 8;

/// What never ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hog {
    Notifications,
    Timers,
    /// A socket that stays readable.
    Sockets,
    /// Handlers that post again.
    Handlers,
}

/// What is to come all the same.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Timer,
    Socket,
    Notification,
    Handler,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    One,
    Try,
    Batch,
    Timeout,
}

/// How many events of the hog came after the victim was due.
#[derive(Default)]
struct Due {
    at: Option<Instant>,
    since: usize,
}

impl Due {
    fn hog_came(&mut self) {
        self.since += usize::from(self.at.is_some_and(|at| at <= Instant::now()));
    }
}

fn get(channel: &EventChannel, way: Way) -> Vec<Event> {
    let mut events = Vec::new();
    match way {
        Way::One => events.push(channel.get_event().unwrap()),
        Way::Try => events.extend(channel.try_get_event().unwrap()),
        Way::Timeout => events.extend(channel.get_event_timeout(Duration::from_secs(10)).unwrap()),
        Way::Batch => {
            channel.get_events(&mut events, 64, None).unwrap();
        }
    }
    events
}

fn again(channel: &EventChannel, stop: &Arc<AtomicBool>, calls: &Arc<AtomicUsize>) {
    let (stop, calls) = (stop.clone(), calls.clone());
    let handler = move |channel: &EventChannel, _: Event| {
        calls.fetch_add(1, Ordering::SeqCst);
        if !stop.load(Ordering::SeqCst) {
            again(channel, &stop, &calls);
        }
    };
    channel.post(Request::notification().on_complete(handler)).unwrap();
}

fn try_pair(channel: &EventChannel, hog: Hog, victim: Victim, way: Way) {
    let (readable, mut filled) = UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut filled, b"x").unwrap();
    let readable = Arc::new(readable);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..HOGS {
        match hog {
            Hog::Notifications => channel.post(Request::notification().token(HOG)).map(drop),
            Hog::Timers => channel.post(Request::timer(Duration::ZERO).token(HOG)).map(drop),
            Hog::Sockets => {
                channel.post(Request::readiness(readable.clone(), Interest::READABLE).token(HOG)).map(drop)
            }
            Hog::Handlers => {
                again(channel, &stop, &calls);
                Ok(())
            }
        }
        .unwrap();
    }
    // What waits before: some rounds of the hog.
    let mut rounds = 0;
    let (mut came, mut due) = (false, Due::default());
    let (mine, mut peer) = UnixStream::pair().unwrap();
    let mut mine = Some(mine);
    let called = Arc::new(AtomicBool::new(false));
    while !came {
        rounds += 1;
        if rounds == 100 {
            let span = Duration::from_millis(2);
            due.at = Some(Instant::now());
            match victim {
                Victim::Timer => {
                    due.at = Some(Instant::now() + span + TICK);
                    channel.post(Request::timer(span).token(VICTIM)).unwrap();
                }
                Victim::Socket => {
                    let mine = mine.take().unwrap();
                    channel.post(Request::recv(mine, Vec::with_capacity(8)).token(VICTIM)).unwrap();
                    std::io::Write::write_all(&mut peer, b"x").unwrap();
                }
                Victim::Notification => drop(channel.post(Request::notification().token(VICTIM)).unwrap()),
                Victim::Handler => {
                    let called = called.clone();
                    let handler = move |_: &EventChannel, _: Event| called.store(true, Ordering::SeqCst);
                    due.at = Some(Instant::now() + span + TICK);
                    channel.post(Request::timer(span).on_complete(handler)).unwrap();
                }
            }
        }
        let before = calls.load(Ordering::SeqCst);
        // (Handlers are called in there, and the one who calls them returns when nothing else is ready.)
        let events = if hog == Hog::Handlers { get(channel, Way::Try) } else { get(channel, way) };
        (before..calls.load(Ordering::SeqCst)).for_each(|_| due.hog_came());
        came |= called.load(Ordering::SeqCst);
        for event in events {
            match event.token() {
                VICTIM => came = true,
                _ => {
                    due.hog_came();
                    channel.post(event.again()).unwrap();
                }
            }
        }
        assert!(due.since <= MOST, "{hog:?} {way:?}: {victim:?} has not come after {} others", due.since);
    }
    stop.store(true, Ordering::SeqCst);
    channel.shutdown();
    while channel.get_event().is_ok() {}
}

#[test]
fn whatever_is_posted_again_and_again_all_else_comes() {
    limit(120, || {
        for hog in [Hog::Notifications, Hog::Timers, Hog::Sockets, Hog::Handlers] {
            for victim in [Victim::Timer, Victim::Socket, Victim::Notification, Victim::Handler] {
                for way in [Way::One, Way::Try, Way::Batch, Way::Timeout] {
                    each_driver(|channel| try_pair(&channel, hog, victim, way));
                }
            }
        }
    });
}
