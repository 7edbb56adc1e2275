//! Bytes read from a position in a file into several buffers.

use crate::common::{each_driver, room};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;

pub static ROW: Row = Row {
    kind: EventKind::ReadAtVectored,
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
        Input { words: "no descriptor", make: || of(world::not_open(), 0), gives: Err(libc::EBADF) },
        Input { words: "no buffers", make: || into(vec![], 0), gives: Ok(0) },
        Input { words: "no room", make: || into(vec![vec![], vec![]], 0), gives: Ok(0) },
        Input { words: "up to the end", make: || into(vec![room(2), room(8)], 7), gives: Ok(3) },
        Input { words: "behind the end", make: || into(vec![room(2), room(8)], 1 << 40), gives: Ok(0) },
        Input {
            words: "over the last offset",
            make: || of(world::ten(), i64::MAX as u64),
            gives: Err(libc::EINVAL),
        },
        Input { words: "the cursor's offset", make: || of(world::ten(), u64::MAX), gives: Err(libc::EINVAL) },
        Input { words: "too many", make: || into_many(1025), gives: Err(libc::EINVAL) },
        Input { words: "just not too many", make: || into_many(1024), gives: Ok(1024) },
    ],
};

fn of(file: Source, offset: u64) -> Scene {
    Scene::new(Request::read_at_vectored(file, vec![room(4), room(4)], offset))
}

fn into(buffers: Vec<Vec<u8>>, offset: u64) -> Scene {
    Scene::new(Request::read_at_vectored(world::ten(), buffers, offset)).check(move |got, _| {
        let at = 10.min(offset as usize);
        let due = &b"0123456789"[at..at + got.result.unwrap_or(0)];
        ensure(got.buffers().concat() == due, || format!("{got:?}"))
    })
}

fn middle() -> Scene {
    let buffers = vec![room(2), room(0), b"old".to_vec(), room(1)];
    Scene::new(Request::read_at_vectored(world::ten(), buffers, 3)).check(|got, outcome| {
        let due: [&[u8]; 4] = match outcome {
            Outcome::Done => [b"34", b"", b"567", b"8"],
            _ => [b""; 4],
        };
        ensure(got.buffers() == due, || format!("{got:?}"))
    })
}

/// (One of no capacity does not count.)
fn into_many(count: usize) -> Scene {
    let mut buffers: Vec<_> = (0..count).map(|_| room(1)).collect();
    buffers.insert(5, Vec::new());
    Scene::new(Request::read_at_vectored(world::file(&[7; 2000]), buffers, 0))
}

/// What is only partly in the page cache is read whole all the same.
#[test]
fn a_read_into_several_of_what_is_not_cached_is_whole() {
    limit(30, || {
        each_driver(|channel| {
            let content: Vec<u8> = (0..1 << 20).map(|at: u32| (at / 4096) as u8).collect();
            let file = world::file(&content);
            file.sync_all().unwrap();
            world::forget_cached(&file, 1 << 19);
            let buffers = vec![room(100_000), room(1 << 20)];
            channel.post(Request::read_at_vectored(file, buffers, 0)).unwrap();
            let mut event = channel.get_event().unwrap();
            assert_eq!(event.result().unwrap(), content.len());
            assert!(event.take_buffers().concat() == content && event.buffers().is_empty());
            channel.post(event.again_with_buffers(vec![room(1)])).unwrap();
            assert_eq!(channel.get_event().unwrap().buffers(), [[0]]);
        })
    });
}
