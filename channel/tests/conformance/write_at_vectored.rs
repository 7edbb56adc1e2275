//! Bytes written at a position in a file from several buffers.

use crate::row::{Cell, Input, Outcome, Row, Scene};
use crate::world;
use crate::write_at::{appending, changes, read_only, writer};
use ec_channel::{EventKind, Request, Source};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::WriteAtVectored,
    on_descriptor: true,
    completes: Cell::Can { make: middle, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || of(read_only(), 0), allowed: &[Outcome::Failed(libc::EBADF)] },
    // It waits for nobody: a cancel comes before it has begun, or too late.
    cancelled: Cell::Can { make: middle, allowed: &[Outcome::Done, Outcome::Cancelled] },
    races: Cell::Can { make: middle, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: middle, allowed: &[Outcome::Done, Outcome::Cancelled] },
    inputs: &[
        Input { words: "/dev/null", make: || of(world::null(), 0), gives: Ok(6) },
        Input { words: "a pipe's writer", make: || of(writer(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "no descriptor", make: || of(world::not_open(), 0), gives: Err(libc::EBADF) },
        Input { words: "no buffers", make: || from(vec![]), gives: Ok(0) },
        Input { words: "nothing", make: || from(vec![vec![], vec![]]), gives: Ok(0) },
        Input { words: "too many", make: || from(vec![vec![1]; 1025]), gives: Err(libc::EINVAL) },
        Input { words: "just not too many", make: || from(vec![vec![1]; 1024]), gives: Ok(1024) },
        Input { words: "the cursor's offset", make: || of(world::ten(), u64::MAX), gives: Err(libc::EINVAL) },
        Input { words: "it appends", make: appends, gives: Ok(6) },
    ],
};

fn abc() -> Vec<Vec<u8>> {
    [&b"a"[..], b"", b"bc", b"def"].map(<[u8]>::to_vec).to_vec()
}

fn of(file: Source, offset: u64) -> Scene {
    Scene::new(Request::write_at_vectored(file, abc(), offset))
}

fn from(buffers: Vec<Vec<u8>>) -> Scene {
    Scene::new(Request::write_at_vectored(world::scratch(), buffers, 0))
}

fn middle() -> Scene {
    let file = Arc::new(world::file(b"0123456789"));
    changes(file.clone(), Request::write_at_vectored(file, abc(), 3), b"012abcdef9")
}

fn appends() -> Scene {
    let file = Arc::new(appending());
    file.write_all_at(b"0123456789", 0).unwrap();
    changes(file.clone(), Request::write_at_vectored(file, abc(), 3), b"0123456789abcdef")
}
