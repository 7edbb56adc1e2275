//! Names of files taken away.

use crate::named::{self, effect, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene};
use ec_channel::{EventKind, Request};

pub static ROW: Row = row(
    EventKind::Unlink,
    file,
    || scene(|_| (), |it| Request::unlink(it.join("none"))),
    &[Outcome::Failed(libc::ENOENT)],
    &[
        Input {
            words: "a folder",
            make: || scene(|_| (), |it| Request::unlink(it)),
            gives: Err(libc::EISDIR),
        },
        Input {
            words: "a fifo",
            make: || scene(|it| named::fifo(&it.join("a")), |it| Request::unlink(it.join("a"))),
            gives: Ok(0),
        },
        Input {
            words: "below a file",
            make: || scene(|it| write(it.join("a")), |it| Request::unlink(it.join("a/b"))),
            gives: Err(libc::ENOTDIR),
        },
        Input {
            words: "no name at all",
            make: || scene(|_| (), |_| Request::unlink("")),
            gives: Err(libc::ENOENT),
        },
        Input { words: "a NUL", make: || scene(|_| (), |_| Request::unlink("\0")), gives: Err(libc::EINVAL) },
        Input {
            words: "too long",
            make: || scene(|_| (), |it| Request::unlink(it.join(named::too_long()))),
            gives: Err(libc::ENAMETOOLONG),
        },
    ],
);

fn file() -> Scene {
    let make = |it: &std::path::Path| write(it.join("file"));
    let request = |it: &std::path::Path| Request::unlink(it.join("file"));
    effect(make, request, |it| !it.join("file").exists(), |it| it.join("file").exists())
}
