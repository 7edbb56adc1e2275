//! Bytes read, as read(2) reads them.

use crate::common::{each_driver, none_for, room};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::{SOON, world};
use ec_channel::{EventKind, Request, Source, nonblocking, set_nonblocking};
use ec_test_support::{limit, skipped};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

pub static ROW: Row = Row {
    kind: EventKind::Read,
    on_descriptor: true,
    completes: Cell::Can { make: waits, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: hangs_up, allowed: &[Outcome::Failed(libc::EIO)] },
    cancelled: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: waits, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "/dev/null", make: || of(world::null()), gives: Ok(0) },
        Input { words: "/dev/zero", make: || of(device("/dev/zero")), gives: Ok(8) },
        Input { words: "/dev/urandom", make: || of(device("/dev/urandom")), gives: Ok(8) },
        Input { words: "a directory", make: || of(world::directory()), gives: Err(libc::EISDIR) },
        Input { words: "a file", make: || of(at(0)), gives: Ok(8) },
        Input { words: "a file's end", make: || of(at(7)), gives: Ok(3) },
        Input { words: "at a file's end", make: || of(at(10)), gives: Ok(0) },
        Input { words: "behind a file's end", make: || of(at(1 << 40)), gives: Ok(0) },
        Input { words: "a file of the kernel's", make: || of(device("/proc/self/stat")), gives: Ok(8) },
        Input { words: "open for writing only", make: || of(world::write_only()), gives: Err(libc::EBADF) },
        Input { words: "a pipe's writer", make: || of(world::pipes().1.into()), gives: Err(libc::EBADF) },
        Input { words: "a pipe without writers", make: || of(world::pipe()), gives: Ok(0) },
        Input { words: "an eventfd of nothing", make: eventfd, gives: Ok(8) },
        Input { words: "less than an eventfd gives", make: short, gives: Err(libc::EINVAL) },
        Input { words: "not connected", make: || of(world::unconnected()), gives: Err(libc::ENOTCONN) },
        Input { words: "it listens", make: || of(world::listener().into()), gives: Err(libc::ENOTCONN) },
        Input { words: "O_PATH", make: || of(world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "no descriptor", make: || of(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "no room, of a pipe", make: no_room, gives: Ok(0) },
        Input { words: "no room, of an empty pipe", make: no_room_and_nothing, gives: Ok(0) },
        Input { words: "no room, of a file", make: || of_nothing(at(0)), gives: Ok(0) },
        Input { words: "no room, of a datagram", make: no_room_for_a_datagram, gives: Ok(0) },
        Input {
            words: "no room, of no descriptor",
            make: || of_nothing(world::not_open()),
            gives: Err(libc::EBADF),
        },
    ],
};

fn of(source: Source) -> Scene {
    Scene::new(Request::read(source, room(8)))
}

fn of_nothing(source: Source) -> Scene {
    Scene::new(Request::read(source, Vec::new()))
}

fn device(path: &str) -> Source {
    std::fs::File::open(path).unwrap().into()
}

/// A file of ten digits, whose cursor is there.
fn at(offset: u64) -> Source {
    let mut file = world::file(b"0123456789");
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.into()
}

/// The bytes are in the event or in the pipe.
fn waits() -> Scene {
    let (reader, writer) = world::pipes();
    let cause = writer.clone();
    Scene::new(Request::read(reader.clone(), room(64)))
        .cause(move || world::write(&cause, b"some bytes"))
        .check(move |got, outcome| {
            let (rest, _open) = (world::rest_of(&reader), writer);
            let due = match outcome {
                Outcome::Done => (&b"some bytes"[..], &b""[..]),
                _ => (&b""[..], &b"some bytes"[..]),
            };
            ensure((&got.buffer[..], &rest[..]) == due, || {
                format!("read {:?}, and in the pipe {rest:?}", got.buffer)
            })
        })
}

/// A terminal whose other end goes.
fn hangs_up() -> Scene {
    let (near, far) = crate::common::terminal();
    of(far.into()).cause(move || drop(near)).late()
}

/// One is added to it.
fn eventfd() -> Scene {
    let (eventfd, one) = (Arc::new(world::eventfd(0)), 1u64.to_ne_bytes());
    of(eventfd.clone().into())
        .cause(move || world::write(&eventfd, &one))
        .check(move |got, _| ensure(got.buffer == one, || format!("{got:?}")))
}

fn short() -> Scene {
    Scene::new(Request::read(world::eventfd(5), room(7)))
}

/// What is there stays.
fn no_room() -> Scene {
    let (reader, writer) = world::pipes();
    world::write(&writer, b"here");
    of_nothing(reader.clone().into()).check(move |_, _| {
        let (rest, _open) = (world::rest_of(&reader), writer);
        ensure(rest == b"here", || format!("{rest:?} in the pipe"))
    })
}

fn no_room_and_nothing() -> Scene {
    let (reader, writer) = world::pipes();
    of_nothing(reader.into()).keeping(writer)
}

fn no_room_for_a_datagram() -> Scene {
    let (near, far) = world::messages();
    world::write(&far, b"here");
    of_nothing(near.clone().into()).check(move |_, _| {
        let (rest, _open) = (world::rest_of(&near), far);
        ensure(rest == b"here", || format!("{rest:?} in the socket"))
    })
}

/// What can be polled, with its other end and the bytes that come of four written there.
fn sources() -> Vec<(&'static str, Arc<OwnedFd>, OwnedFd)> {
    let (reader, writer) = world::pipes();
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let (terminal, end) = crate::common::terminal();
    let fifo = world::fifo();
    let own = |writer: Arc<OwnedFd>| Arc::try_unwrap(writer).unwrap();
    vec![
        ("a pipe", reader, own(writer)),
        ("a FIFO", Arc::new(fifo.0), fifo.1),
        ("a socket", Arc::new(near.into()), far.into()),
        ("a terminal", Arc::new(terminal), end),
    ]
}

#[test]
fn whatever_can_be_polled_is_read_in_either_mode_and_keeps_it() {
    limit(60, || {
        each_driver(|channel| {
            for (words, source, far) in sources() {
                for mode in [true, false] {
                    set_nonblocking(source.as_fd(), mode).unwrap();
                    channel.post(Request::read(source.clone(), room(3))).unwrap();
                    none_for(&channel, SOON);
                    assert_eq!(nonblocking(source.as_fd()).unwrap(), mode, "{words}");
                    world::write(&far, b"four");
                    let event = channel.get_event().unwrap();
                    assert_eq!(event.buffer(), b"fou", "{words}: {:?}", event.failure());
                    // There is something already.
                    channel.post(event.again()).unwrap();
                    assert_eq!(channel.get_event().unwrap().buffer(), b"r", "{words}");
                    assert_eq!(nonblocking(source.as_fd()).unwrap(), mode, "{words}");
                }
                if words != "a terminal" {
                    channel.post(Request::read(source, room(3))).unwrap();
                    none_for(&channel, SOON);
                    drop(far);
                    assert_eq!(channel.get_event().unwrap().result().unwrap(), 0, "{words}");
                }
            }
        })
    });
}

/// What has no flag for a call that does not wait.
#[test]
fn a_timer_and_a_watch_of_the_kernel_s_are_read() {
    limit(60, || {
        each_driver(|channel| {
            for flags in [0, libc::TFD_NONBLOCK] {
                let timer = world::timerfd(flags);
                channel.post(Request::read(timer.clone(), room(8))).unwrap();
                none_for(&channel, SOON);
                world::set_timer(&timer);
                assert_eq!(channel.get_event().unwrap().buffer(), 1u64.to_ne_bytes());
            }
            for flags in [0, libc::IN_NONBLOCK] {
                let watch = world::inotify(flags);
                let mut watched = world::scratch();
                let path = format!("/proc/self/fd/{}\0", std::os::fd::AsRawFd::as_raw_fd(&watched));
                let fd = std::os::fd::AsRawFd::as_raw_fd(&watch);
                // SAFETY: a string with its end.
                let number = unsafe { libc::inotify_add_watch(fd, path.as_ptr().cast(), libc::IN_MODIFY) };
                assert!(number >= 0);
                channel.post(Request::read(watch, room(4096))).unwrap();
                none_for(&channel, SOON);
                watched.write_all(b"x").unwrap();
                let event = channel.get_event().unwrap();
                assert_eq!(event.buffer()[..4], number.to_ne_bytes(), "{:?}", event.failure());
            }
        })
    });
}

#[test]
fn a_read_of_a_file_moves_its_cursor() {
    limit(30, || {
        each_driver(|channel| {
            let mut file = world::file(b"0123456789");
            file.rewind().unwrap();
            channel.post(Request::read(file, room(4))).unwrap();
            let mut event = channel.get_event().unwrap();
            for due in [&b"0123"[..], b"4567", b"89", b""] {
                assert_eq!(event.buffer(), due);
                channel.post(event.again()).unwrap();
                event = channel.get_event().unwrap();
            }
        })
    });
}

/// Each read comes with what belongs together, and no byte comes twice, whether it is cached or not: some are read in place, and some by
/// helpers, which move the cursor meanwhile.
#[test]
fn reads_at_one_cursor_each_have_their_own() {
    // (No whole pages: what is cached ends in the middle of some.)
    const LEN: usize = 10_000;
    const PARTS: usize = 100;
    limit(60, || {
        each_driver(|channel| {
            let content: Vec<u8> = (0..PARTS * LEN).map(|at| (at / LEN) as u8).collect();
            let mut file = world::file(&content);
            file.sync_all().unwrap();
            for _ in 0..10 {
                world::forget_cached(&file, PARTS / 2 * LEN);
                file.rewind().unwrap();
                let source = Arc::new(file.try_clone().unwrap());
                channel.post_all((0..=PARTS).map(|_| Request::read(source.clone(), room(LEN)))).unwrap();
                let mut seen = [0; PARTS + 1];
                for _ in 0..=PARTS {
                    let event = channel.get_event().unwrap();
                    let first = event.buffer().first().map_or(PARTS, |first| usize::from(*first));
                    assert!(event.buffer().iter().all(|byte| usize::from(*byte) == first));
                    assert_eq!(event.result().unwrap(), if first == PARTS { 0 } else { LEN });
                    seen[first] += 1;
                }
                assert_eq!(seen, [1; PARTS + 1]);
            }
        })
    });
}

#[test]
fn a_read_that_was_cancelled_has_what_had_come() {
    limit(60, || {
        each_driver(|channel| {
            // (Through a terminal bytes take some time.)
            for (words, source, far) in sources().into_iter().filter(|(words, ..)| *words != "a terminal") {
                let id = channel.post(Request::read(source.clone(), room(8))).unwrap();
                none_for(&channel, Duration::ZERO);
                world::write(&far, b"come");
                channel.cancel(id);
                let event = channel.get_event().unwrap();
                assert_eq!(event.buffer(), b"come", "{words}: {:?}", event.failure());
            }
        })
    });
}

/// A read of nothing is left to the call, and some of these wait all the same.
#[test]
fn a_read_of_no_room_that_waits_can_be_cancelled() {
    limit(60, || {
        each_driver(|channel| {
            let id = channel.post(Request::read(world::inotify(0), Vec::new())).unwrap();
            none_for(&channel, SOON);
            channel.cancel(id);
            assert!(channel.get_event().unwrap().is_cancelled());
        })
    });
}

/// poll(2) tells nobody that such a FIFO has no writer, so it is waited for, and then it is as any other.
#[test]
fn a_fifo_that_never_had_a_writer_waits_for_one() {
    limit(60, || {
        each_driver(|channel| {
            let (fifo, path) = world::lonely_fifo();
            channel.post(Request::read(fifo, room(8))).unwrap();
            if let Some(event) = channel.get_event_timeout(SOON).unwrap() {
                assert_eq!(event.result().unwrap(), 0);
                std::fs::remove_file(path).unwrap();
                return skipped("this kernel tells a read without waiting that a FIFO has no writer");
            }
            let writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            none_for(&channel, SOON);
            world::write(&writer, b"at last");
            let event = channel.get_event().unwrap();
            assert_eq!(event.buffer(), b"at last");
            channel.post(event.again()).unwrap();
            none_for(&channel, SOON);
            drop(writer);
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
        })
    });
}
