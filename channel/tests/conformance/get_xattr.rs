//! Extended attributes read.

use crate::common::room;
use crate::named::{coloured, looked_at, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request};

pub static ROW: Row = row(
    EventKind::GetXattr,
    green,
    || scene(|it| write(it.join("a")), |it| Request::get_xattr(it.join("a"), "user.colour", room(8))),
    &[Outcome::Failed(libc::ENODATA)],
    &[
        Input { words: "the length alone", make: || of("user.colour", 0), gives: Ok(5) },
        Input { words: "too little room", make: || of("user.colour", 4), gives: Err(libc::ERANGE) },
        Input { words: "no such name", make: || of("user", 8), gives: Err(libc::EOPNOTSUPP) },
        Input { words: "no name at all", make: || of("", 8), gives: Err(libc::ERANGE) },
        Input { words: "a NUL in the name", make: || of("user.\0", 8), gives: Err(libc::EINVAL) },
        Input {
            words: "no such file",
            make: || scene(|_| (), |it| Request::get_xattr(it.join("none"), "user.colour", room(8))),
            gives: Err(libc::ENOENT),
        },
    ],
);

fn of(name: &'static str, capacity: usize) -> Scene {
    scene(|it| coloured(&it.join("a")), move |it| Request::get_xattr(it.join("a"), name, room(capacity)))
}

fn green() -> Scene {
    looked_at(of("user.colour", 8), |got, outcome| {
        let due = if outcome == Outcome::Done { &b"green"[..] } else { b"" };
        ensure(got.buffer == due, || format!("read {:?}", got.buffer))
    })
}
