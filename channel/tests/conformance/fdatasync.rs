//! A file's data brought to the disk.

use crate::fsync::{clean, row};
use crate::row::{Input, Row, Scene};
use crate::world;
use ec_channel::{EventKind, Request};

pub static ROW: Row = row(
    EventKind::Fdatasync,
    [|| Scene::new(Request::fdatasync(clean())), || Scene::new(Request::fdatasync(world::not_open()))],
    &[
        Input {
            words: "a directory",
            make: || Scene::new(Request::fdatasync(world::directory())),
            gives: Ok(0),
        },
        Input {
            words: "a pipe",
            make: || Scene::new(Request::fdatasync(world::pipe())),
            gives: Err(libc::EINVAL),
        },
    ],
);
