//! Bytes written, as write(2) writes them.

use crate::common::each_driver;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use crate::write_at::{appending, changes, content, full, read_only};
use ec_channel::{EventKind, Request, Source, nonblocking, set_nonblocking};
use ec_test_support::limit;
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

pub static ROW: Row = Row {
    kind: EventKind::Write,
    on_descriptor: true,
    completes: Cell::Can { make: waits, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: broken, allowed: &[Outcome::Failed(libc::EPIPE)] },
    cancelled: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: waits, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "/dev/null", make: || of(world::null()), gives: Ok(8) },
        Input { words: "/dev/full", make: || of(full()), gives: Err(libc::ENOSPC) },
        Input { words: "a directory", make: || of(world::directory()), gives: Err(libc::EBADF) },
        Input { words: "a file", make: || at(0, b"********89"), gives: Ok(8) },
        Input { words: "a file's end", make: || at(7, b"0123456********"), gives: Ok(8) },
        Input { words: "behind a file's end", make: || at(12, b"0123456789\0\0********"), gives: Ok(8) },
        Input { words: "it appends", make: appends, gives: Ok(8) },
        Input { words: "open for reading only", make: || of(read_only()), gives: Err(libc::EBADF) },
        Input { words: "a pipe's reader", make: || of(world::pipes().0.into()), gives: Err(libc::EBADF) },
        Input {
            words: "a pipe without readers",
            make: || of(crate::write_at::writer()),
            gives: Err(libc::EPIPE),
        },
        Input { words: "nothing, to such a pipe", make: || nothing(crate::write_at::writer()), gives: Ok(0) },
        Input { words: "nothing, to a full pipe", make: nothing_to_full, gives: Ok(0) },
        Input {
            words: "nothing, to no descriptor",
            make: || nothing(world::not_open()),
            gives: Err(libc::EBADF),
        },
        Input { words: "nothing, as a message", make: empty_message, gives: Ok(0) },
        Input { words: "an eventfd", make: || of(world::eventfd(0).into()), gives: Ok(8) },
        Input {
            words: "less than an eventfd takes",
            make: || little(world::eventfd(0).into()),
            gives: Err(libc::EINVAL),
        },
        Input { words: "an eventfd that is full", make: full_eventfd, gives: Ok(8) },
        Input { words: "not connected", make: || of(world::unconnected()), gives: Err(libc::EPIPE) },
        Input { words: "O_PATH", make: || of(world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "no descriptor", make: || of(world::not_open()), gives: Err(libc::EBADF) },
    ],
};

fn of(source: Source) -> Scene {
    Scene::new(Request::write(source, b"********".to_vec()))
}

fn nothing(source: Source) -> Scene {
    Scene::new(Request::write(source, Vec::new()))
}

fn little(source: Source) -> Scene {
    Scene::new(Request::write(source, b"*******".to_vec()))
}

/// No room is left, until the other end reads. What was written arrives, and else nothing of it.
fn waits() -> Scene {
    let (reader, writer) = world::pipes();
    let filled = world::fill_pipe(&writer, 1);
    let (drain, read) = (reader.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = read.clone();
    Scene::new(Request::write(writer, vec![2; 100]))
        .cause(move || read.lock().unwrap().extend(world::rest_of(&drain)))
        .check(move |got, outcome| {
            let mut all = std::mem::take(&mut *seen.lock().unwrap());
            all.extend(world::rest_of(&reader));
            let written = all.iter().filter(|byte| **byte == 2).count();
            let due = if outcome == Outcome::Done { 100 } else { 0 };
            ensure(all.len() == filled + written && written == due, || {
                format!("{written} bytes arrived, {got:?}")
            })
        })
}

/// Who reads leaves.
fn broken() -> Scene {
    let (reader, writer) = world::pipes();
    world::fill_pipe(&writer, 1);
    of(writer.into()).cause(move || drop(reader))
}

/// A file of ten digits, whose cursor is there.
fn at(offset: u64, into: &'static [u8]) -> Scene {
    let mut file = world::file(b"0123456789");
    file.seek(SeekFrom::Start(offset)).unwrap();
    let file = Arc::new(file);
    changes(file.clone(), Request::write(file, b"********".to_vec()), into)
}

fn appends() -> Scene {
    let file = Arc::new(appending());
    world::write(&file, b"0123456789");
    changes(file.clone(), Request::write(file, b"********".to_vec()), b"0123456789********")
}

fn nothing_to_full() -> Scene {
    let (reader, writer) = world::pipes();
    world::fill_pipe(&writer, 1);
    nothing(writer.into()).keeping(reader)
}

fn empty_message() -> Scene {
    let (near, far) = (world::datagrams(), world::datagrams());
    near.connect(world::at(&far)).unwrap();
    nothing(near.into()).check(move |_, _| {
        far.set_nonblocking(true).unwrap();
        let got = far.recv(&mut [0; 8]);
        ensure(matches!(got, Ok(0)), || format!("received {got:?}"))
    })
}

/// It has room for one more, and not for two, until it is read.
fn full_eventfd() -> Scene {
    let eventfd = Arc::new(world::eventfd(0));
    world::write(&eventfd, &(u64::MAX - 2).to_ne_bytes());
    Scene::new(Request::write(eventfd.clone(), 2u64.to_ne_bytes().to_vec())).cause(move || {
        world::rest_of(&eventfd);
    })
}

/// What can be polled, with its other end.
fn sinks() -> Vec<(&'static str, Arc<OwnedFd>, OwnedFd)> {
    let (reader, writer) = world::pipes();
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let (terminal, end) = crate::common::terminal();
    let fifo = world::fifo();
    vec![
        ("a pipe", writer, Arc::try_unwrap(reader).unwrap()),
        ("a FIFO", Arc::new(fifo.1), fifo.0),
        ("a socket", Arc::new(near.into()), far.into()),
        ("a terminal", Arc::new(terminal), end),
    ]
}

#[test]
fn whatever_can_be_polled_is_written_in_either_mode_and_keeps_it() {
    limit(60, || {
        each_driver(|channel| {
            for (words, sink, far) in sinks() {
                for mode in [true, false] {
                    set_nonblocking(sink.as_fd(), mode).unwrap();
                    channel.post(Request::write(sink.clone(), b"four".to_vec())).unwrap();
                    let event = channel.get_event().unwrap();
                    assert_eq!(event.result().unwrap(), 4, "{words}: {:?}", event.failure());
                    assert_eq!(world::rest_of(&far), b"four", "{words}");
                    assert_eq!(nonblocking(sink.as_fd()).unwrap(), mode, "{words}");
                }
            }
        })
    });
}

/// More than a pipe holds goes in piece by piece, each as large as fits.
#[test]
fn a_long_write_to_a_pipe_says_how_much_went_in() {
    limit(60, || {
        each_driver(|channel| {
            let (reader, writer) = world::pipes();
            let long: Vec<u8> = (0..1 << 20).map(|at: u32| (at / 4096) as u8).collect();
            let (mut written, mut read) = (0, Vec::new());
            while written < long.len() {
                channel.post(Request::write(writer.clone(), long[written..].to_vec())).unwrap();
                let event = loop {
                    match channel.try_get_event().unwrap() {
                        Some(event) => break event,
                        None => read.extend(world::rest_of(&reader)),
                    }
                };
                let n = event.result().unwrap();
                assert!(n > 0);
                written += n;
            }
            read.extend(world::rest_of(&reader));
            assert!(read == long);
        })
    });
}

/// What fits into `PIPE_BUF` is never in pieces.
#[test]
fn short_writes_to_a_pipe_go_in_whole() {
    limit(60, || {
        each_driver(|channel| {
            let (reader, writer) = world::pipes();
            const EACH: usize = 3000;
            let writes = (0..200u8).map(|n| Request::write(writer.clone(), vec![n; EACH]));
            channel.post_all(writes).unwrap();
            let (mut read, mut over) = (Vec::new(), 0);
            while over < 200 {
                match channel.try_get_event().unwrap() {
                    Some(event) => {
                        assert_eq!(event.result().unwrap(), EACH);
                        over += 1;
                    }
                    None => read.extend(world::rest_of(&reader)),
                }
            }
            read.extend(world::rest_of(&reader));
            let mut seen: Vec<u8> = read.chunks(EACH).map(|chunk| chunk[0]).collect();
            assert!(read.chunks(EACH).all(|chunk| chunk.iter().all(|byte| *byte == chunk[0])));
            seen.sort();
            assert!(seen.into_iter().eq(0..200));
        })
    });
}

#[test]
fn a_write_to_a_file_moves_its_cursor_and_appends_where_it_is_to() {
    limit(30, || {
        each_driver(|channel| {
            let (file, log) = (Arc::new(world::scratch()), Arc::new(appending()));
            for target in [file.clone(), log.clone()] {
                channel.post(Request::write(target, b"once, ".to_vec())).unwrap();
                let event = channel.get_event().unwrap();
                channel.post(event.again_with(b"and twice".to_vec())).unwrap();
                assert_eq!(channel.get_event().unwrap().result().unwrap(), 9);
            }
            assert_eq!(content(&file), b"once, and twice");
            assert_eq!(content(&log), b"once, and twice");
        })
    });
}
