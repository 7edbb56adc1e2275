//! Room on the disk for a part of a file.

use crate::common::each_driver;
use crate::fsync::row;
use crate::row::{Input, Row, Scene};
use crate::world;
use crate::write_at::{changes, content};
use ec_channel::{Allocation, EventKind, Request, Source};
use ec_test_support::{limit, skipped};
use std::sync::Arc;

pub static ROW: Row = row(
    EventKind::Allocate,
    [reserve, || of(world::not_open(), 0, 12)],
    &[
        Input { words: "a hole in it", make: punch, gives: Ok(0) },
        Input { words: "of no length", make: || of(world::ten(), 0, 0), gives: Err(libc::EINVAL) },
        Input {
            words: "of no length that is",
            make: || of(world::ten(), 0, 1 << 63),
            gives: Err(libc::EINVAL),
        },
        Input { words: "nowhere", make: || of(world::ten(), 1 << 63, 1), gives: Err(libc::EINVAL) },
        Input { words: "nor at another offset", make: moved, gives: Err(libc::EINVAL) },
        Input { words: "too long", make: || of(world::ten(), i64::MAX as u64, 1), gives: Err(libc::EFBIG) },
        Input { words: "a directory", make: || of(world::directory(), 0, 12), gives: Err(libc::EBADF) },
        Input { words: "a pipe", make: || of(world::pipe(), 0, 12), gives: Err(libc::EBADF) },
        Input { words: "a socket", make: || of(world::unconnected(), 0, 12), gives: Err(libc::ENODEV) },
        Input { words: "/dev/null", make: || of(world::null(), 0, 12), gives: Err(libc::ENODEV) },
        Input { words: "O_PATH", make: || of(world::path_only(), 0, 12), gives: Err(libc::EBADF) },
    ],
);

fn of(file: Source, offset: u64, len: u64) -> Scene {
    Scene::new(Request::allocate(file, Allocation::Reserve, offset, len))
}

fn moved() -> Scene {
    Scene::new(Request::allocate(world::ten(), Allocation::Reserve, 0, 12).at_offset(1 << 63))
}

fn reserve() -> Scene {
    let file = Arc::new(world::file(b"0123456789"));
    changes(file.clone(), Request::allocate(file, Allocation::Reserve, 0, 12), b"0123456789\0\0")
}

fn punch() -> Scene {
    let file = Arc::new(world::file(b"0123456789"));
    changes(file.clone(), Request::allocate(file, Allocation::PunchHole, 4, 2), b"0123\0\x006789")
}

/// What only some file systems can: each part is done once.
#[test]
fn parts_of_a_file_are_zeroed_put_in_and_taken_out() {
    const BLOCK: usize = 4096;
    let blocks = |numbers: &[u8]| numbers.iter().flat_map(|n| [*n; BLOCK]).collect::<Vec<_>>();
    limit(30, || {
        each_driver(|channel| {
            let file = Arc::new(world::file(&blocks(&[1, 2, 3])));
            let steps: [(Allocation, usize, usize, &[u8]); 4] = [
                (Allocation::ReserveUnseen, 3, 1, &[1, 2, 3]),
                (Allocation::Zero, 1, 1, &[1, 0, 3]),
                (Allocation::Insert, 1, 2, &[1, 0, 0, 0, 3]),
                (Allocation::Collapse, 0, 1, &[0, 0, 0, 3]),
            ];
            for (allocation, offset, len, due) in steps {
                let (offset, len) = ((offset * BLOCK) as u64, (len * BLOCK) as u64);
                channel.post(Request::allocate(file.clone(), allocation, offset, len)).unwrap();
                match channel.get_event().unwrap().failure() {
                    None => assert!(content(&file) == blocks(due), "{allocation:?}"),
                    Some(failure) => {
                        assert_eq!(failure.errno(), libc::EOPNOTSUPP, "{allocation:?}");
                        return skipped(&format!("this file system cannot do {allocation:?}"));
                    }
                }
            }
        })
    });
}
