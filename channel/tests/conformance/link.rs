//! Second names for files.

use crate::named::{effect, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene};
use ec_channel::{EventKind, Request};
use std::os::unix::fs::MetadataExt;

pub static ROW: Row = row(
    EventKind::Link,
    second_name,
    || scene(|_| (), |it| Request::link(it.join("none"), it.join("new"))),
    &[Outcome::Failed(libc::ENOENT)],
    &[
        Input {
            words: "it is there",
            make: || scene(|it| write(it.join("a")), |it| Request::link(it.join("a"), it.join("a"))),
            gives: Err(libc::EEXIST),
        },
        Input {
            words: "a folder",
            make: || scene(|_| (), |it| Request::link(it, it.join("a"))),
            gives: Err(libc::EPERM),
        },
        Input {
            words: "no name at all",
            make: || scene(|it| write(it.join("a")), |it| Request::link(it.join("a"), "")),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "a NUL",
            make: || scene(|it| write(it.join("a")), |it| Request::link(it.join("a"), "\0")),
            gives: Err(libc::EINVAL),
        },
    ],
);

fn second_name() -> Scene {
    let names = |it: &std::path::Path| std::fs::metadata(it.join("first")).unwrap().nlink();
    effect(
        |it| write(it.join("first")),
        |it| Request::link(it.join("first"), it.join("second")),
        move |it| it.join("second").exists() && names(it) == 2,
        move |it| !it.join("second").exists() && names(it) == 1,
    )
}
