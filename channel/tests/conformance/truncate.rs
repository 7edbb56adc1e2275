//! A file's length set.

use crate::common::each_driver;
use crate::fsync::row;
use crate::row::{Input, Row, Scene};
use crate::world;
use crate::write_at::{changes, content, read_only};
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use std::sync::Arc;

pub static ROW: Row = row(
    EventKind::Truncate,
    [|| to(4, b"0123"), || of(world::not_open(), 4)],
    &[
        Input { words: "nothing is left", make: || to(0, b""), gives: Ok(0) },
        Input { words: "as long as before", make: || to(10, b"0123456789"), gives: Ok(0) },
        Input { words: "longer", make: || to(12, b"0123456789\0\0"), gives: Ok(0) },
        Input { words: "beyond what is", make: || of(world::ten(), 1 << 63), gives: Err(libc::EINVAL) },
        Input { words: "open for reading only", make: || of(read_only(), 4), gives: Err(libc::EINVAL) },
        Input { words: "a directory", make: || of(world::directory(), 4), gives: Err(libc::EINVAL) },
        Input { words: "a pipe", make: || of(world::pipe(), 4), gives: Err(libc::EINVAL) },
        Input { words: "a socket", make: || of(world::unconnected(), 4), gives: Err(libc::EINVAL) },
        Input { words: "O_PATH", make: || of(world::path_only(), 4), gives: Err(libc::EBADF) },
    ],
);

fn of(file: Source, len: u64) -> Scene {
    Scene::new(Request::truncate(file, len))
}

fn to(len: u64, into: &'static [u8]) -> Scene {
    let file = Arc::new(world::file(b"0123456789"));
    changes(file.clone(), Request::truncate(file, len), into)
}

#[test]
fn a_file_is_shortened_and_grows_with_zeroes() {
    limit(30, || {
        each_driver(|channel| {
            let file = Arc::new(world::file(b"0123456789"));
            for (len, due) in [(3, &b"012"[..]), (5, b"012\0\0")] {
                channel.post(Request::truncate(file.clone(), len)).unwrap();
                channel.get_event().unwrap().result().unwrap();
                assert_eq!(content(&file), due);
            }
        })
    });
}
