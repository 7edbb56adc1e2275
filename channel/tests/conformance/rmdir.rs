//! Folders removed.

use crate::named::{effect, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene};
use ec_channel::{EventKind, Request};
use std::path::Path;

pub static ROW: Row = row(
    EventKind::Rmdir,
    empty,
    || scene(|it| write(it.join("a")), |it| Request::rmdir(it)),
    &[Outcome::Failed(libc::ENOTEMPTY)],
    &[
        Input {
            words: "none",
            make: || scene(|_| (), |it| Request::rmdir(it.join("none"))),
            gives: Err(libc::ENOENT),
        },
        Input {
            words: "a file",
            make: || scene(|it| write(it.join("a")), |it| Request::rmdir(it.join("a"))),
            gives: Err(libc::ENOTDIR),
        },
        Input {
            words: "itself",
            make: || scene(|_| (), |it| Request::rmdir(it.join("."))),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "no name at all",
            make: || scene(|_| (), |_| Request::rmdir("")),
            gives: Err(libc::ENOENT),
        },
        Input { words: "a NUL", make: || scene(|_| (), |_| Request::rmdir("\0")), gives: Err(libc::EINVAL) },
    ],
);

fn empty() -> Scene {
    let make = |it: &Path| std::fs::create_dir(it.join("empty")).unwrap();
    let request = |it: &Path| Request::rmdir(it.join("empty"));
    effect(make, request, |it| !it.join("empty").exists(), |it| it.join("empty").exists())
}
