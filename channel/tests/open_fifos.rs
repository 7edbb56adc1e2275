//! An open that waits for others holds up nobody, ends when it is given up, and leaves no descriptor behind.

mod common;

use common::{Scratch, drivers, fifo_in, none_for, until_asleep};
use ec_channel::{Driver, Event, EventChannel, OpenOptions, Request};
use ec_test_support::{alone, in_child, limit, skipped, went_well};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
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

fn to_write(path: &Path) -> Request {
    Request::open(path, OpenOptions::new().write(true))
}

/// What it has opened. Its calls wait.
fn opened(mut event: Event) -> File {
    event.result().unwrap();
    let file = File::from(event.take_opened().unwrap());
    // SAFETY: no pointer is passed.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    assert_eq!(flags & libc::O_NONBLOCK, 0);
    file
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

/// So many descriptors of it are open here.
fn open_here(path: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    all.filter(|it| std::fs::read_link(it.path()).is_ok_and(|what| what == path)).count()
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
            until(|| open_here(&path) == MANY);
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

/// It may write nothing, or have gone already. What it has written stays there, however often it is looked at.
#[test]
fn whoever_opens_to_read_meets_any_writer() {
    alone(60, || {
        each_driver(|channel| {
            let folder = Scratch::new();
            let path = fifo_in(&folder);
            for (content, stays) in [("", true), ("", false), ("content", true), ("content", false)] {
                channel.post(to_read(&path)).unwrap();
                none_for(&channel, Duration::from_millis(10));
                let mut writer = File::options().write(true).open(&path).unwrap();
                writer.write_all(content.as_bytes()).unwrap();
                let kept = stays.then_some(writer);
                let mut reader = opened(channel.get_event().unwrap());
                drop(kept);
                let mut came = String::new();
                reader.read_to_string(&mut came).unwrap();
                assert_eq!(came, content);
            }
        });
    });
}

/// Two who write are none who reads. Nobody has to drive the channel for a reader to meet one; and it is that file, whatever it is called.
#[test]
fn whoever_opens_to_write_meets_a_reader_and_nobody_else() {
    alone(60, || {
        each_driver(|channel| {
            let folder = Scratch::new();
            let (path, other) = (fifo_in(&folder), folder.join("other"));
            channel.post_all([to_write(&path), to_write(&path)]).unwrap();
            none_for(&channel, Duration::from_millis(20));
            // (A writer has it pinned, and no reader's descriptor is among these.)
            until(|| open_here(&path) == 2);
            assert!(nobody_reads(&path));
            std::fs::rename(&path, &other).unwrap();
            std::fs::write(&path, "a file").unwrap();
            let mut reader = File::open(&other).unwrap();
            for _ in 0..2 {
                opened(channel.get_event().unwrap()).write_all(b"x").unwrap();
            }
            let mut came = String::new();
            reader.read_to_string(&mut came).unwrap();
            assert_eq!(came, "xx");
            assert_eq!(std::fs::read(&path).unwrap(), b"a file");
        });
    });
}

/// There the path is all that it can be found by.
#[test]
fn without_proc_whoever_opens_to_write_meets_a_reader() {
    let case = || {
        let folder = Scratch::new();
        fifo_in(&folder);
        let build = |driver| EventChannel::builder().driver(driver).build().unwrap();
        let channels: Vec<_> = drivers().into_iter().chain([Driver::Direct]).map(build).collect();
        let root = File::open("/").unwrap();
        if std::os::unix::fs::chroot(&*folder).is_err() {
            return skipped("only root may take /proc away");
        }
        for channel in channels {
            channel.post(to_write(Path::new("/fifo"))).unwrap();
            none_for(&channel, Duration::from_millis(10));
            let mut reader = File::open("/fifo").unwrap();
            opened(channel.get_event().unwrap()).write_all(b"x").unwrap();
            let mut came = String::new();
            reader.read_to_string(&mut came).unwrap();
            assert_eq!(came, "x");
        }
        // SAFETY: no pointer is passed.
        assert_eq!(unsafe { libc::fchdir(root.as_raw_fd()) }, 0);
        std::os::unix::fs::chroot(".").unwrap();
    };
    went_well(limit(30, || in_child("without_proc_whoever_opens_to_write_meets_a_reader", case)));
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
            let id = channel.post(to_write(&path)).unwrap();
            channel.post(to_write(&path).within(Duration::from_millis(1))).unwrap();
            assert!(channel.get_event().unwrap().is_timed_out());
            assert!(channel.cancel(id) && channel.get_event().unwrap().is_cancelled());
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
            until(|| open_here(&path) == 20);
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
            until(|| open_here(&path) == 20);
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
