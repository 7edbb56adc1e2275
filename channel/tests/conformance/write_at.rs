//! Bytes written at a position in a file.

use crate::common::each_driver;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::WriteAt,
    on_descriptor: true,
    completes: Cell::Can { make: middle, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || of(read_only(), 0), allowed: &[Outcome::Failed(libc::EBADF)] },
    // It waits for nobody: a cancel comes before it has begun, or too late.
    cancelled: Cell::Can { make: middle, allowed: &[Outcome::Done, Outcome::Cancelled] },
    races: Cell::Can { make: middle, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: middle, allowed: &[Outcome::Done, Outcome::Cancelled] },
    inputs: &[
        Input { words: "/dev/null", make: || of(world::null(), 0), gives: Ok(8) },
        Input { words: "/dev/full", make: || of(full(), 0), gives: Err(libc::ENOSPC) },
        Input { words: "a directory", make: || of(world::directory(), 0), gives: Err(libc::EBADF) },
        Input { words: "a pipe", make: || of(world::pipe(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "a pipe's writer", make: || of(writer(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "a socket", make: || of(world::unconnected(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "O_PATH", make: || of(world::path_only(), 0), gives: Err(libc::EBADF) },
        Input { words: "no descriptor", make: || of(world::not_open(), 0), gives: Err(libc::EBADF) },
        Input { words: "an epoll instance", make: || of(world::epoll(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "no positions to write at", make: || of(world::comm(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "nor for who only reads", make: || of(comm_read_only(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "nothing", make: nothing, gives: Ok(0) },
        Input {
            words: "nothing, to /dev/full",
            make: || Scene::new(Request::write_at(full(), Vec::new(), 0)),
            gives: Err(libc::ENOSPC),
        },
        Input { words: "at the end", make: || leaves(10, b"0123456789********"), gives: Ok(8) },
        Input { words: "over the end", make: || leaves(7, b"0123456********"), gives: Ok(8) },
        Input { words: "behind the end", make: || leaves(12, b"0123456789\0\0********"), gives: Ok(8) },
        Input { words: "over it", make: || of(world::ten(), LAST + 1), gives: Err(libc::EINVAL) },
        Input { words: "beyond it", make: || of(world::ten(), LAST + 9), gives: Err(libc::EINVAL) },
        Input { words: "the cursor's offset", make: || of(world::ten(), u64::MAX), gives: Err(libc::EINVAL) },
        Input { words: "it appends", make: appends, gives: Ok(8) },
    ],
};

/// Of eight bytes that end at the last offset of all.
const LAST: u64 = i64::MAX as u64 - 8;

fn of(file: Source, offset: u64) -> Scene {
    Scene::new(Request::write_at(file, b"********".to_vec(), offset))
}

pub fn read_only() -> Source {
    File::open("/dev/null").unwrap().into()
}

fn comm_read_only() -> Source {
    File::open("/proc/self/comm").unwrap().into()
}

pub fn full() -> Source {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

pub fn writer() -> Source {
    let (_reader, writer) = world::pipes();
    writer.into()
}

/// The file has this content then, if it was done, and else that of before.
pub fn changes(file: Arc<File>, request: Request, into: &'static [u8]) -> Scene {
    let before = content(&file);
    Scene::new(request).check(move |got, outcome| {
        let due = if outcome == Outcome::Done { into } else { &before };
        let is = content(&file);
        ensure(is == due, || format!("{:?} in place of {due:?}, {got:?}", String::from_utf8_lossy(&is)))
    })
}

pub fn content(file: &File) -> Vec<u8> {
    let mut content = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut content, 0).unwrap();
    content
}

fn leaves(offset: u64, content: &'static [u8]) -> Scene {
    let file = Arc::new(world::file(b"0123456789"));
    changes(file.clone(), Request::write_at(file, b"********".to_vec(), offset), content)
}

fn middle() -> Scene {
    let file = Arc::new(world::file(b"0123456789"));
    changes(file.clone(), Request::write_at(file, b"abcd".to_vec(), 3), b"012abcd789")
}

fn nothing() -> Scene {
    let file = Arc::new(world::file(b"0123456789"));
    changes(file.clone(), Request::write_at(file, Vec::new(), 20), b"0123456789")
}

/// As Linux does, wherever it is asked to.
fn appends() -> Scene {
    let file = Arc::new(appending());
    file.write_all_at(b"0123456789", 0).unwrap();
    changes(file.clone(), Request::write_at(file, b"********".to_vec(), 3), b"0123456789********")
}

/// A file that is written at its end.
pub fn appending() -> File {
    reopened(world::scratch(), libc::O_APPEND)
}

fn reopened(file: File, flags: i32) -> File {
    // By a name that it has as long as it is open.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

#[test]
fn a_write_at_a_position_leaves_the_cursor_where_it_is() {
    limit(30, || {
        each_driver(|channel| {
            let file = Arc::new(world::file(b"0123456789"));
            channel.post(Request::write_at(file.clone(), b"abc".to_vec(), 5)).unwrap();
            let mut event = channel.get_event().unwrap();
            assert_eq!((event.result().unwrap(), event.buffer()), (3, &b"abc"[..]));
            assert_eq!(std::io::Seek::stream_position(&mut &*file).unwrap(), 0);
            assert_eq!(event.take_buffer(), b"abc");
            channel.post(event.again_with(b"XY".to_vec())).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 2);
            assert_eq!(content(&file), b"01234XYc89");
        })
    });
}

/// More than a page, and past the end of one.
#[test]
fn a_long_write_is_whole() {
    limit(30, || {
        each_driver(|channel| {
            let file = Arc::new(world::scratch());
            let long: Vec<u8> = (0..1 << 20).map(|at: u32| (at / 999) as u8).collect();
            channel.post(Request::write_at(file.clone(), long.clone(), 4000)).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap(), long.len());
            let (zeroes, rest) = (vec![0; 4000], content(&file));
            assert!(rest[..4000] == zeroes && rest[4000..] == long);
        })
    });
}

/// Each write waits for the disk.
#[test]
fn a_file_that_is_opened_to_be_synchronous_is_written_all_the_same() {
    limit(30, || {
        each_driver(|channel| {
            let file = Arc::new(reopened(world::scratch(), libc::O_DSYNC));
            channel.post(Request::write_at(file.clone(), b"kept".to_vec(), 0)).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 4);
            assert_eq!(content(&file), b"kept");
        })
    });
}
