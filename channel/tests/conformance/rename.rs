//! Files renamed.

use crate::named::{self, effect, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene};
use ec_channel::{EventKind, Request};

pub static ROW: Row = row(
    EventKind::Rename,
    over_another,
    || scene(|_| (), |it| Request::rename(it.join("none"), it.join("new"))),
    &[Outcome::Failed(libc::ENOENT)],
    &[
        Input {
            words: "to itself",
            make: || scene(|it| write(it.join("a")), |it| Request::rename(it.join("a"), it.join("a"))),
            gives: Ok(0),
        },
        Input {
            words: "no name at all",
            make: || scene(|_| (), |it| Request::rename("", it.join("a"))),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "a NUL in the first",
            make: || scene(|_| (), |it| Request::rename("a\0b", it.join("a"))),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "a NUL in the second",
            make: || scene(|it| write(it.join("a")), |it| Request::rename(it.join("a"), "a\0b")),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "too long",
            make: || {
                scene(
                    |it| write(it.join("a")),
                    |it| Request::rename(it.join("a"), it.join(named::too_long())),
                )
            },
            gives: Err(libc::ENAMETOOLONG),
        },
        Input { words: "a file over a folder", make: || over_a_folder(), gives: Err(libc::EISDIR) },
        Input {
            words: "into another file system",
            make: || scene(|it| write(it.join("a")), |it| Request::rename(it.join("a"), "/proc/a")),
            gives: Err(libc::EXDEV),
        },
    ],
);

fn over_another() -> Scene {
    effect(
        |it| {
            write(it.join("old"));
            std::fs::write(it.join("new"), "another").unwrap();
        },
        |it| Request::rename(it.join("old"), it.join("new")),
        |it| !it.join("old").exists() && std::fs::read(it.join("new")).unwrap() == b"content",
        |it| it.join("old").exists() && std::fs::read(it.join("new")).unwrap() == b"another",
    )
}

fn over_a_folder() -> Scene {
    scene(
        |it| {
            write(it.join("file"));
            std::fs::create_dir(it.join("folder")).unwrap();
        },
        |it| Request::rename(it.join("file"), it.join("folder")),
    )
}
