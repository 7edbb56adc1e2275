//! Symbolic links made.

use crate::named::{effect, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene};
use ec_channel::{EventKind, Request};

pub static ROW: Row = row(
    EventKind::Symlink,
    to_nothing,
    || scene(|it| write(it.join("a")), |it| Request::symlink("b", it.join("a"))),
    &[Outcome::Failed(libc::EEXIST)],
    &[
        Input {
            words: "to no name",
            make: || scene(|_| (), |it| Request::symlink("", it.join("a"))),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "of no name",
            make: || scene(|_| (), |_| Request::symlink("a", "")),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "a NUL",
            make: || scene(|_| (), |it| Request::symlink("\0", it.join("a"))),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "too long",
            make: || scene(|_| (), |it| Request::symlink("x".repeat(4096), it.join("a"))),
            gives: Err(libc::ENAMETOOLONG),
        },
    ],
);

fn to_nothing() -> Scene {
    effect(
        |_| (),
        |it| Request::symlink("nowhere", it.join("link")),
        |it| std::fs::read_link(it.join("link")).unwrap().to_str() == Some("nowhere"),
        |it| std::fs::symlink_metadata(it.join("link")).is_err(),
    )
}
