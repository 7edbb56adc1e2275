//! What symbolic links say.

use crate::common::room;
use crate::named::{looked_at, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request};
use std::os::unix::fs::symlink;

pub static ROW: Row = row(
    EventKind::ReadLink,
    || cut_to(64),
    || scene(|it| write(it.join("a")), |it| Request::read_link(it.join("a"), room(8))),
    &[Outcome::Failed(libc::EINVAL)],
    &[
        Input { words: "cut off", make: || cut_to(4), gives: Ok(4) },
        Input { words: "no room", make: || of(0), gives: Err(libc::EINVAL) },
        Input {
            words: "none",
            make: || scene(|_| (), |it| Request::read_link(it.join("none"), room(8))),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "no name at all",
            make: || scene(|_| (), |_| Request::read_link("", room(8))),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "a NUL",
            make: || scene(|_| (), |_| Request::read_link("\0", room(8))),
            gives: Err(libc::EINVAL),
        },
    ],
);

fn of(capacity: usize) -> Scene {
    let link = |it: &std::path::Path| symlink("elsewhere", it.join("link")).unwrap();
    scene(link, |it| Request::read_link(it.join("link"), room(capacity)))
}

fn cut_to(capacity: usize) -> Scene {
    looked_at(of(capacity), move |got, outcome| {
        let due = if outcome == Outcome::Done { &b"elsewhere"[..capacity.min(9)] } else { b"" };
        ensure(got.buffer == due, || format!("read {:?}", got.buffer))
    })
}
