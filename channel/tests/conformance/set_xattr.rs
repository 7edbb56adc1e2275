//! Extended attributes set.

use crate::named::{attribute, coloured, effect, row, scene, write};
use crate::row::{Input, Outcome, Row, Scene};
use ec_channel::{EventKind, Request};

pub static ROW: Row = row(
    EventKind::SetXattr,
    from_green_to_blue,
    || of("nothing.colour", b"blue"),
    &[Outcome::Failed(libc::EOPNOTSUPP)],
    &[
        Input { words: "no value", make: || of("user.colour", b""), gives: Ok(0) },
        Input {
            words: "too long a value",
            make: || of("user.colour", &[0; 65_537]),
            gives: Err(libc::E2BIG),
        },
        Input { words: "no name at all", make: || of("", b"blue"), gives: Err(libc::ERANGE) },
        Input { words: "a NUL in the name", make: || of("user.\0", b"blue"), gives: Err(libc::EINVAL) },
        Input {
            words: "no such file",
            make: || scene(|_| (), |it| Request::set_xattr(it.join("none"), "user.colour", vec![])),
            gives: Err(libc::ENOENT),
        },
    ],
);

fn of(name: &'static str, value: &'static [u8]) -> Scene {
    scene(|it| write(it.join("a")), move |it| Request::set_xattr(it.join("a"), name, value.to_vec()))
}

fn from_green_to_blue() -> Scene {
    effect(
        |it| coloured(&it.join("a")),
        |it| Request::set_xattr(it.join("a"), "user.colour", b"blue".to_vec()),
        |it| attribute(&it.join("a"), "user.colour").unwrap() == b"blue",
        |it| attribute(&it.join("a"), "user.colour").unwrap() == b"green",
    )
}
