//! An open that waits for others holds up nobody, ends when it is given up, and leaves no descriptor behind.

mod common;

use common::{Scratch, drivers, fifo_in, threads_in, until_asleep};
use ec_channel::{Driver, EventChannel, OpenOptions, Request};
use ec_test_support::{alone, skipped};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// With the one that has a request at a time.
fn each_driver(f: impl Fn(EventChannel)) {
    for driver in drivers().into_iter().chain([Driver::Direct]) {
        eprintln!("on {driver}");
        f(EventChannel::builder().driver(driver).build().unwrap());
    }
}

fn to_read(path: &Path) -> Request {
    Request::open(path, OpenOptions::new().read(true))
}

/// Nobody reads from it, nor waits in an open to do so.
fn nobody_reads(path: &Path) -> bool {
    let opened = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path);
    opened.is_err_and(|error| error.raw_os_error() == Some(libc::ENXIO))
}

fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn in_open() -> usize {
    threads_in(libc::SYS_openat, None)
}

/// More than there are helpers that count.
const MANY: usize = 600;

/// So many threads more, all at once?
fn can_have_threads(n: usize) -> bool {
    let enough = AtomicBool::new(false);
    std::thread::scope(|s| {
        let wait = || {
            while !enough.load(Ordering::Relaxed) {
                std::thread::park();
            }
        };
        let started = (0..n).map(|_| std::thread::Builder::new().spawn_scoped(s, wait));
        let started: Vec<_> = started.take_while(Result::is_ok).flatten().collect();
        enough.store(true, Ordering::Relaxed);
        started.iter().for_each(|it| it.thread().unpark());
        started.len() == n
    })
}

#[test]
fn opens_that_wait_hold_up_nobody() {
    alone(120, || {
        if !can_have_threads(MANY + 8) {
            return skipped("the process may not have so many threads");
        }
        each_driver(|channel| {
            let folder = Scratch::new();
            let path = fifo_in(&folder);
            channel.post_all((0..MANY).map(|at| to_read(&path).token(at as u64))).unwrap();
            assert!(channel.try_get_event().unwrap().is_none());
            until(|| in_open() == MANY);
            // What needs a helper has one, and what needs none goes on.
            channel.post(Request::work(|| ()).token(1000)).unwrap();
            channel.post(Request::mkdir(folder.join("new"), 0o700).token(1001)).unwrap();
            channel.post(Request::timer(Duration::from_millis(1)).token(1002)).unwrap();
            let mut others: Vec<u64> = (0..3).map(|_| channel.get_event().unwrap().token()).collect();
            others.sort();
            assert_eq!(others, [1000, 1001, 1002]);
            // There they are, all of them.
            let _writer = File::options().write(true).open(&path).unwrap();
            let mut open: Vec<(u64, OwnedFd)> = Vec::new();
            while open.len() < MANY {
                let mut event = channel.get_event().unwrap();
                open.push((event.token(), event.take_opened().unwrap()));
            }
            open.sort_by_key(|(token, _)| *token);
            assert!(open.iter().map(|(token, _)| *token).eq(0..MANY as u64));
        });
    });
}

#[test]
fn opens_that_wait_end_when_they_are_given_up() {
    alone(60, || {
        each_driver(|channel| {
            let folder = Scratch::new();
            let path = fifo_in(&folder);
            let before = descriptors();
            for _ in 0..50 {
                let id = channel.post(to_read(&path)).unwrap();
                let limited = channel.post(to_read(&path).within(Duration::from_millis(1))).unwrap();
                let event = channel.get_event().unwrap();
                assert!(event.id() == limited && event.is_timed_out(), "{event:?}");
                assert!(channel.cancel(id));
                let event = channel.get_event().unwrap();
                assert!(event.id() == id && event.is_cancelled(), "{event:?}");
                assert!(nobody_reads(&path));
            }
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn opens_that_wait_end_with_the_channel() {
    alone(60, || {
        each_driver(|channel| {
            let folder = Scratch::new();
            let path = fifo_in(&folder);
            channel.post_all((0..20).map(|_| to_read(&path))).unwrap();
            assert!(channel.try_get_event().unwrap().is_none());
            until(|| in_open() == 20);
            std::thread::scope(|s| {
                s.spawn(|| {
                    until_asleep(&channel);
                    channel.shutdown();
                });
                for _ in 0..20 {
                    assert!(channel.get_event().unwrap().is_cancelled());
                }
                assert!(channel.get_event().is_err());
            });
            assert!(nobody_reads(&path));
            // And so they do if it is simply dropped.
            let driver = channel.driver().kind();
            drop(channel);
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            channel.post_all((0..20).map(|_| to_read(&path))).unwrap();
            assert!(channel.try_get_event().unwrap().is_none());
            until(|| in_open() == 20);
            drop(channel);
            assert!(nobody_reads(&path));
        });
    });
}

#[test]
fn what_is_opened_and_not_taken_is_closed() {
    alone(60, || {
        each_driver(|channel| {
            let folder = Scratch::new();
            let (path, plain) = (fifo_in(&folder), folder.join("plain"));
            std::fs::write(&plain, "").unwrap();
            let _both = File::options().read(true).write(true).open(&path).unwrap();
            let before = descriptors();
            for round in 0..200 {
                // The event goes; it is opened anew; and the cancel comes early, or late, or in between.
                let path = if round % 2 == 0 { &path } else { &plain };
                let id = channel.post(to_read(path)).unwrap();
                if round % 8 < 4 {
                    channel.cancel(id);
                }
                let event = channel.get_event().unwrap();
                assert!(event.result().is_ok() || event.is_cancelled(), "{event:?}");
                let id = channel.post(event.again()).unwrap();
                let early = channel.try_get_event().unwrap();
                channel.cancel(id);
                let event = early.map_or_else(|| channel.get_event(), Ok).unwrap();
                assert!(event.result().is_ok() || event.is_cancelled(), "{event:?}");
            }
            assert_eq!(descriptors(), before);
            // Nobody gets these.
            channel.post_all((0..50).map(|_| to_read(&path))).unwrap();
            drop(channel.try_get_event().unwrap());
            channel.shutdown();
            while channel.get_event().is_ok() {}
            assert_eq!(descriptors(), before);
            channel.post(to_read(&path)).unwrap_err();
        });
        let folder = Scratch::new();
        std::fs::write(folder.join("plain"), "").unwrap();
        let before = descriptors();
        each_driver(|channel| {
            channel.post_all((0..50).map(|_| to_read(&folder.join("plain")))).unwrap();
            drop(channel.try_get_event().unwrap());
        });
        assert_eq!(descriptors(), before);
    });
}
