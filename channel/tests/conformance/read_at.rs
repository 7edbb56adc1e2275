//! Bytes read from a position in a file.

use crate::common::{each_driver, room};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::ReadAt,
    on_descriptor: true,
    completes: Cell::Can { make: middle, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || of(world::write_only(), 0), allowed: &[Outcome::Failed(libc::EBADF)] },
    // It waits for nobody: a cancel comes before it has begun, or too late.
    cancelled: Cell::Can { make: middle, allowed: &[Outcome::Done, Outcome::Cancelled] },
    races: Cell::Can { make: middle, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: middle, allowed: &[Outcome::Done, Outcome::Cancelled] },
    inputs: &[
        Input { words: "/dev/null", make: || of(world::null(), 0), gives: Ok(0) },
        Input { words: "a directory", make: || of(world::directory(), 0), gives: Err(libc::EISDIR) },
        Input { words: "a pipe", make: || of(world::pipe(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "a socket", make: || of(world::unconnected(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "O_PATH", make: || of(world::path_only(), 0), gives: Err(libc::EBADF) },
        Input { words: "no descriptor", make: || of(world::not_open(), 0), gives: Err(libc::EBADF) },
        Input { words: "an epoll instance", make: || of(world::epoll(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "no room", make: no_room, gives: Ok(0) },
        Input {
            words: "no room for a directory",
            make: || Scene::new(Request::read_at(world::directory(), Vec::new(), 0)),
            gives: Err(libc::EISDIR),
        },
        Input { words: "up to the end", make: || of(world::ten(), 7), gives: Ok(3) },
        Input { words: "at the end", make: || of(world::ten(), 10), gives: Ok(0) },
        Input { words: "behind the end", make: || of(world::ten(), 1 << 40), gives: Ok(0) },
        Input {
            words: "up to the last offset",
            make: || of(world::ten(), i64::MAX as u64 - 8),
            gives: Ok(0),
        },
        Input { words: "over it", make: || of(world::ten(), i64::MAX as u64), gives: Err(libc::EINVAL) },
        Input {
            words: "beyond it",
            make: || of(world::ten(), i64::MAX as u64 + 1),
            gives: Err(libc::EINVAL),
        },
        Input { words: "the cursor's offset", make: || of(world::ten(), u64::MAX), gives: Err(libc::EINVAL) },
    ],
};

fn of(file: Source, offset: u64) -> Scene {
    Scene::new(Request::read_at(file, room(8), offset))
}

fn middle() -> Scene {
    Scene::new(Request::read_at(world::ten(), room(4), 3)).check(|got, outcome| {
        let due = if outcome == Outcome::Done { &b"3456"[..] } else { b"" };
        ensure(got.buffer == due, || format!("read {:?}", got.buffer))
    })
}

fn no_room() -> Scene {
    Scene::new(Request::read_at(world::ten(), Vec::new(), 0))
}

#[test]
fn a_read_at_a_position_leaves_the_cursor_where_it_is() {
    limit(30, || {
        each_driver(|channel| {
            let file = Arc::new(world::file(b"0123456789"));
            channel.post(Request::read_at(file.clone(), room(3), 5)).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.buffer(), b"567");
            let cursor = std::io::Seek::stream_position(&mut &*file).unwrap();
            assert_eq!(cursor, 0);
            channel.post(event.again()).unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"567");
        })
    });
}

/// What is only partly in the page cache is read whole all the same.
#[test]
fn a_read_of_what_is_not_cached_is_whole() {
    limit(30, || {
        each_driver(|channel| {
            let content: Vec<u8> = (0..1 << 20).map(|at: u32| (at / 4096) as u8).collect();
            let file = world::file(&content);
            file.sync_all().unwrap();
            world::forget_cached(&file, 1 << 19);
            channel.post(Request::read_at(file, room(1 << 20), 0)).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.result().unwrap(), content.len());
            assert!(event.buffer() == content);
        })
    });
}
