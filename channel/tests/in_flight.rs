//! What a channel says of what is in flight: all of it, whoever has it at that moment, and in nobody's way.

mod common;

use common::{AtEnd, Random, Scratch, all_drivers, drivers, pair, room, serve, until_asleep};
use ec_channel::{
    BufferPool, Completion, Completions, Driver, EventChannel, EventKind, InFlight, Interest, OpenOptions,
    Request, Stage, Wait,
};
use ec_test_support::{in_child, limit, went_well};
use ec_unkind as _;
use std::collections::HashMap;
use std::ffi::CString;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(1_000);

fn each_driver(f: impl Fn(&EventChannel)) {
    for driver in all_drivers() {
        eprintln!("on {driver}");
        f(&EventChannel::builder().driver(driver).build().unwrap());
    }
}

/// What is in flight. (A pass may last on a busy machine: it is asked again.)
fn list(channel: &EventChannel) -> Vec<InFlight> {
    loop {
        match channel.in_flight() {
            Ok(list) => return list,
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    }
}

/// Of each token where its request is.
fn stages(channel: &EventChannel) -> HashMap<u64, InFlight> {
    list(channel).into_iter().map(|it| (it.token, it)).collect()
}

/// Waits until the request with this token is there.
fn until(channel: &EventChannel, token: u64, stage: Stage) -> InFlight {
    loop {
        match stages(channel).remove(&token) {
            Some(it) if it.stage == stage => return it,
            _ => thread::yield_now(),
        }
    }
}

/// Of the clock by which it is told for how long something is in flight.
fn resolution() -> Duration {
    let mut tick = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut tick) };
    Duration::from_nanos(tick.tv_nsec as u64)
}

/// Runs `f` while a thread gets what comes and keeps it. (Posts that end it are `f`'s affair no more.)
fn while_somebody_gets(channel: &EventChannel, f: impl FnOnce()) {
    thread::scope(|scope| {
        let _end = AtEnd(|| channel.shutdown());
        scope.spawn(|| {
            let mut kept = Vec::new();
            while let Ok(event) = channel.get_event() {
                kept.push(event);
            }
        });
        f();
    });
}

/// What a request is with, as this channel carries it out.
fn with_driver(channel: &EventChannel) -> Stage {
    match channel.driver().kind() {
        Driver::Epoll | Driver::Poll => Stage::Readiness,
        _ => Stage::Driver,
    }
}

#[test]
fn what_nobody_has_taken_in_is_told_of() {
    limit(30, || {
        each_driver(|channel| {
            assert_eq!(channel.in_flight().unwrap(), []);
            let (source, _far) = pair();
            let id = channel.post(Request::recv(source, room(4)).token(3)).unwrap();
            let late = channel.post(Request::timer(LONG).token(4)).unwrap();
            let all = channel.in_flight().unwrap();
            let is = |it: &InFlight| (it.id, it.kind, it.token, it.stage, it.is_given_up);
            let given_up = |of: bool| {
                vec![
                    (id, EventKind::Recv, 3, Stage::Posted, false),
                    (late, EventKind::Timer, 4, Stage::Posted, of),
                ]
            };
            assert_eq!(all.iter().map(is).collect::<Vec<_>>(), given_up(false));
            assert!(all.iter().all(|it| it.since.is_none()));
            assert!(all[0].descriptor.is_some() && all[1].descriptor.is_none());
            assert!(all[0].deadline.is_none() && all[1].deadline.is_some());
            channel.cancel(late);
            assert_eq!(channel.in_flight().unwrap().iter().map(is).collect::<Vec<_>>(), given_up(true));
            // What has come is not in flight any more.
            assert!(channel.get_event().unwrap().is_cancelled());
            assert_eq!(channel.in_flight().unwrap().len(), 1);
            channel.cancel(id);
            assert_eq!(channel.get_event().unwrap().token(), 3);
            assert_eq!(channel.in_flight().unwrap(), []);
        });
    });
}

/// Also what a pass has left for the next one: it takes in so many and no more.
#[test]
fn all_of_very_many_are_told_of() {
    const MANY: u64 = 3_000;
    limit(30, || {
        each_driver(|channel| {
            let (source, _far) = pair();
            channel.post_all((0..MANY).map(|n| Request::recv(source.clone(), room(1)).token(n))).unwrap();
            let count = |stage| stages(channel).into_values().filter(|it| it.stage == stage).count() as u64;
            assert_eq!((stages(channel).len() as u64, count(Stage::Posted)), (MANY, MANY));
            assert!(channel.try_get_event().unwrap().is_none());
            let taken_in = count(with_driver(channel));
            assert_eq!(taken_in + count(Stage::Posted), MANY);
            assert!(taken_in > 0);
            while count(with_driver(channel)) < MANY {
                assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
            }
        });
    });
}

/// While a thread sleeps in `get_event`, and when it does not.
#[test]
fn who_has_a_request_is_told() {
    limit(60, || {
        for driver in drivers() {
            let channel = &EventChannel::builder().driver(driver).build().unwrap();
            let folder = Scratch::quick();
            let fifo = folder.join("fifo");
            let name = CString::new(fifo.as_os_str().as_bytes()).unwrap();
            // SAFETY: a string that ends.
            assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
            let (waits, _far) = UnixStream::pair().unwrap();
            let number = waits.as_raw_fd();
            let (lacks, mut filled) = pair();
            filled.write_all(b"x").unwrap();
            let (pool, started) = (BufferPool::new(1, 1), Instant::now());
            let (taken, mut other) = pair();
            other.write_all(b"x").unwrap();
            channel.post(Request::recv_pooled(taken, &pool)).unwrap();
            let holds_the_buffer = channel.get_event().unwrap();
            let opened = Request::open(&fifo, OpenOptions::new().read(true));
            let limited = started + LONG;
            channel
                .post_all([
                    Request::recv(waits, room(4)).token(1),
                    Request::timer_at(limited).token(2),
                    opened.token(3),
                    Request::recv_pooled(lacks, &pool).token(4),
                    Request::readiness_stream(other, Interest::WRITABLE).token(5),
                ])
                .unwrap();
            let look = |channel| {
                let receive = until(channel, 1, with_driver(channel));
                assert_eq!((receive.kind, receive.descriptor), (EventKind::Recv, Some(number)));
                assert!(receive.since.unwrap() <= started.elapsed() + resolution());
                assert_eq!(receive.deadline, None);
                assert_eq!(until(channel, 2, Stage::Timer).deadline, Some(limited));
                assert_eq!(until(channel, 3, Stage::Helper).kind, EventKind::Open);
                until(channel, 4, Stage::Lacking);
                until(channel, 5, Stage::Paused);
            };
            // (As long as this item is there.)
            let item = channel.get_event().unwrap();
            assert!(!item.is_last());
            look(channel);
            while_somebody_gets(channel, || {
                until_asleep(channel);
                look(channel);
                // It gets older.
                let before = until(channel, 1, with_driver(channel)).since;
                while until(channel, 1, with_driver(channel)).since <= before {
                    thread::yield_now();
                }
            });
            drop((item, holds_the_buffer));
            assert_eq!(channel.in_flight().unwrap(), []);
        }
    });
}

/// What a helper does cannot be stopped: it is given up, and in flight.
#[test]
fn what_was_given_up_and_has_not_come_back_says_so() {
    limit(30, || {
        each_driver(|channel| {
            let (gate, wait) = mpsc::channel::<()>();
            let begun = Arc::new(AtomicBool::new(false));
            let begins = begun.clone();
            let work = Request::work(move || {
                begins.store(true, Ordering::SeqCst);
                wait.recv()
            });
            let id = channel.post(work.token(1)).unwrap();
            while_somebody_gets(channel, || {
                while !begun.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
                assert!(!until(channel, 1, Stage::Helper).is_given_up);
                channel.cancel(id);
                while !until(channel, 1, Stage::Helper).is_given_up {
                    thread::yield_now();
                }
                drop(gate);
            });
        });
    });
}

#[test]
fn a_stream_that_ends_with_its_handler_says_so() {
    limit(30, || {
        each_driver(|channel| {
            let (told, hears) = mpsc::channel();
            let (told, gate) = (Mutex::new(told), Arc::new(AtomicBool::new(false)));
            let passes = gate.clone();
            let ticks = Request::interval(Duration::from_millis(1)).token(1).on_complete(move |_, event| {
                let _ = told.lock().unwrap().send(event.is_last());
                while !passes.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
            });
            let id = channel.post(ticks).unwrap();
            thread::scope(|scope| {
                let _end = AtEnd(|| channel.shutdown());
                let _open = AtEnd(|| gate.store(true, Ordering::SeqCst));
                // (One is in the handler, and one makes the passes.)
                (0..2).for_each(|_| drop(scope.spawn(|| channel.get_event().map(drop))));
                assert!(!hears.recv().unwrap());
                until(channel, 1, Stage::Paused);
                channel.cancel(id);
                assert!(until(channel, 1, Stage::Ending).is_given_up);
                gate.store(true, Ordering::SeqCst);
                assert!(hears.recv().unwrap());
            });
        });
    });
}

/// Requests come and go, and each list is true: of what was posted, with its own token, and nothing twice.
#[test]
fn lists_are_true_while_others_post_get_and_cancel() {
    const ROUNDS: u64 = 3_000;
    const LISTS: u64 = 20;
    limit(60, || {
        each_driver(|channel| {
            let (over, lists, longest) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
            let (source, _far) = pair();
            thread::scope(|scope| {
                let end = AtEnd(|| over.store(true, Ordering::SeqCst));
                let lister = scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        let list = list(channel);
                        let mut tokens: Vec<_> = list.iter().map(|it| it.token).collect();
                        for it in &list {
                            let kind = [EventKind::Timer, EventKind::Recv][(it.token % 2) as usize];
                            assert_eq!((it.kind, it.descriptor.is_some()), (kind, it.token % 2 == 1));
                        }
                        tokens.sort_unstable();
                        tokens.dedup();
                        assert_eq!(tokens.len(), list.len(), "one of them twice");
                        longest.fetch_max(list.len() as u64, Ordering::SeqCst);
                        lists.fetch_add(1, Ordering::SeqCst);
                    }
                });
                let mut random = Random(5);
                let (mut ids, mut came) = (Vec::new(), 0);
                // Until enough has been seen, however little of its time the lister has had.
                let has_seen = || lists.load(Ordering::SeqCst) >= LISTS && longest.load(Ordering::SeqCst) > 1;
                for token in (0..).take_while(|n| *n < ROUNDS || !has_seen() && !lister.is_finished()) {
                    let request = match token % 2 {
                        0 => Request::timer(Duration::from_micros(random.below(300))),
                        _ => Request::recv(source.clone(), room(1))
                            .within(Duration::from_micros(random.below(300))),
                    };
                    ids.push(channel.post(request.token(token)).unwrap());
                    if random.below(4) == 0 {
                        channel.cancel(ids[random.below(ids.len() as u64) as usize]);
                    }
                    if random.below(2) == 0 {
                        let wait = Duration::from_micros(random.below(200));
                        came += usize::from(channel.get_event_timeout(wait).unwrap().is_some());
                    }
                }
                // As long as there is something somebody looks.
                while came < ids.len() {
                    came += usize::from(channel.get_event().is_ok());
                }
                drop(end);
            });
            assert_eq!(channel.in_flight().unwrap(), []);
        });
    });
}

/// Of each port.
#[test]
fn what_a_pool_serves_is_told_of() {
    limit(30, || {
        for driver in drivers() {
            let channel = EventChannel::builder().driver(driver).ports(2).build().unwrap();
            let (serving, over) = (serve(&channel), AtomicBool::new(false));
            thread::scope(|scope| {
                let _end = AtEnd(|| {
                    over.store(true, Ordering::SeqCst);
                    (0..2).for_each(|port| serving.wake_port(port));
                });
                for port in 0..2 {
                    let (serving, over) = (&serving, &over);
                    scope.spawn(move || {
                        let mut out = Completions::new();
                        while !over.load(Ordering::SeqCst) {
                            serving.drive(port, Wait::Forever, &mut out).unwrap();
                            out.drain().for_each(|it| match it {
                                Completion::Call(call) => call.run(),
                                Completion::Raw(_) => panic!("there is no such operation"),
                            });
                        }
                    });
                }
                let (source, _far) = pair();
                for token in 1..=8 {
                    channel.post(Request::recv(source.clone(), room(1)).token(token)).unwrap();
                }
                for token in 1..=8 {
                    until(&channel, token, with_driver(&channel));
                }
                assert_eq!(list(&channel).len(), 8);
                assert_eq!(channel.metrics().in_flight, 8);
            });
        }
    });
}

/// A handler is called by who makes the passes, and may ask.
#[test]
fn a_handler_may_ask() {
    limit(30, || {
        each_driver(|channel| {
            channel.post(Request::timer(LONG).token(1)).unwrap();
            let ask = |channel: &EventChannel, _| {
                let all = channel.in_flight().unwrap();
                channel.post(Request::notification().token(all[0].token)).unwrap();
            };
            channel.post(Request::timer(Duration::ZERO).token(2).on_complete(ask)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
        });
    });
}

#[test]
fn what_is_printed_has_the_oldest_of_them() {
    limit(30, || {
        let channel = EventChannel::new().unwrap();
        assert!(format!("{channel:?}").contains("in_flight: []"), "{channel:?}");
        let local = EventChannel::builder().single_threaded().build().unwrap();
        local.post(Request::timer(LONG).token(9)).unwrap();
        assert_eq!(local.in_flight().unwrap()[0].token, 9);
        channel.post_all((0..20).map(|n| Request::timer(LONG).token(n))).unwrap();
        let shown = format!("{channel:?}");
        assert!(
            shown.contains("in_flight: [timer, token 0: posted, and not taken in, timer, token 1: "),
            "{shown}"
        );
        assert!(shown.contains("token 15: posted, and not taken in, 4 more]"), "{shown}");
        let (source, _far) = pair();
        let fd = std::os::fd::AsFd::as_fd(&source).as_raw_fd();
        let id = channel.post(Request::recv(source, room(1)).token(20)).unwrap();
        channel.cancel(id);
        let all = channel.in_flight().unwrap();
        let last = all.last().unwrap().to_string();
        assert_eq!(last, format!("recv, token 20, descriptor {fd}: posted, and not taken in, given up"));
    });
}

#[test]
fn in_a_forked_child_there_is_nothing() {
    went_well(in_child("in_a_forked_child_there_is_nothing", || {
        let channel = EventChannel::new().unwrap();
        channel.post(Request::timer(LONG)).unwrap();
        // SAFETY: the child asks, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_empty = channel.in_flight().is_ok_and(|all| all.is_empty());
            // SAFETY: it ends here.
            unsafe { libc::_exit(i32::from(!is_empty)) };
        }
        let mut status = -1;
        // SAFETY: a live int.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(channel.in_flight().unwrap().len(), 1);
    }));
}
