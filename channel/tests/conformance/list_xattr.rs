//! The names of extended attributes.

use crate::common::room;
use crate::named::{coloured, looked_at, row, scene};
use crate::row::{Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request};

pub static ROW: Row = row(
    EventKind::ListXattr,
    one,
    || of(4),
    &[Outcome::Failed(libc::ERANGE)],
    &[
        Input {
            words: "the length alone",
            make: || scene(|it| coloured(&it.join("a")), |it| Request::list_xattr(it.join("a"), Vec::new())),
            gives: Ok(12),
        },
        Input {
            words: "no such file",
            make: || scene(|_| (), |it| Request::list_xattr(it.join("none"), room(8))),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "a NUL in the path",
            make: || scene(|_| (), |_| Request::list_xattr("\0", room(8))),
            gives: Err(libc::EINVAL),
        },
    ],
);

fn of(capacity: usize) -> Scene {
    scene(|it| coloured(&it.join("a")), move |it| Request::list_xattr(it.join("a"), room(capacity)))
}

fn one() -> Scene {
    looked_at(of(64), |got, outcome| {
        let due = if outcome == Outcome::Done { &b"user.colour\0"[..] } else { b"" };
        ensure(got.buffer == due, || format!("read {:?}", got.buffer))
    })
}
