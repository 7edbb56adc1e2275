//! Extended attributes removed.

use crate::named::{attribute, coloured, effect, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene};
use ec_channel::{EventKind, Request};

pub static ROW: Row = row(
    EventKind::RemoveXattr,
    green,
    || scene(|it| write(it.join("a")), |it| Request::remove_xattr(it.join("a"), "user.colour")),
    &[Outcome::Failed(libc::ENODATA)],
    &[
        Input {
            words: "no name at all",
            make: || scene(|it| write(it.join("a")), |it| Request::remove_xattr(it.join("a"), "")),
            gives: Err(libc::ERANGE),
        },
        Input {
            words: "a NUL in the name",
            make: || scene(|it| write(it.join("a")), |it| Request::remove_xattr(it.join("a"), "\0")),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "no such file",
            make: || scene(|_| (), |it| Request::remove_xattr(it.join("none"), "user.colour")),
            gives: Err(libc::ENOENT),
        },
    ],
);

fn green() -> Scene {
    effect(
        |it| coloured(&it.join("a")),
        |it| Request::remove_xattr(it.join("a"), "user.colour"),
        |it| attribute(&it.join("a"), "user.colour").is_none(),
        |it| attribute(&it.join("a"), "user.colour").is_some(),
    )
}
