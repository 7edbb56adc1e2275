//! Folders made.

use crate::named::{self, effect, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene};
use ec_channel::{EventKind, Request};
use std::os::unix::fs::MetadataExt;

pub static ROW: Row = row(
    EventKind::Mkdir,
    folder,
    || scene(|_| (), |it| Request::mkdir(it, 0o777)),
    &[Outcome::Failed(libc::EEXIST)],
    &[
        Input {
            words: "in no folder",
            make: || scene(|_| (), |it| Request::mkdir(it.join("a/b"), 0o777)),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "in a file",
            make: || scene(|it| write(it.join("a")), |it| Request::mkdir(it.join("a/b"), 0o777)),
            gives: Err(libc::ENOTDIR),
        },
        Input {
            words: "no rights",
            make: || scene(|_| (), |it| Request::mkdir(it.join("a"), 0)),
            gives: Ok(0),
        },
        Input {
            words: "no name at all",
            make: || scene(|_| (), |_| Request::mkdir("", 0o777)),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "a NUL",
            make: || scene(|_| (), |_| Request::mkdir("\0", 0o777)),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "too long",
            make: || scene(|_| (), |it| Request::mkdir(it.join(named::too_long()), 0o777)),
            gives: Err(libc::ENAMETOOLONG),
        },
    ],
);

fn folder() -> Scene {
    let is_made = |it: &std::path::Path| {
        std::fs::metadata(it.join("new")).is_ok_and(|found| found.is_dir() && found.mode() & 0o777 == 0o700)
    };
    let request = |it: &std::path::Path| Request::mkdir(it.join("new"), 0o700);
    effect(|_| (), request, is_made, move |it| !it.join("new").exists())
}
