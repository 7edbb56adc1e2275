//! Bytes that went through a pipe.

use crate::piped::{self, Make};
use crate::row::{Cell, Input, Outcome, Row, Scene};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use std::os::fd::AsRawFd;

const SPLICE: Make = |from, to, len| Request::splice(from, to, len);

pub static ROW: Row = Row {
    kind: EventKind::Splice,
    on_descriptor: true,
    completes: Cell::Can { make: || piped::waits(SPLICE, false), allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || piped::nobody_reads(SPLICE), allowed: &[Outcome::Failed(libc::EPIPE)] },
    cancelled: Cell::Can { make: || piped::waits(SPLICE, false), allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: || piped::waits(SPLICE, false), allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: || piped::waits(SPLICE, false), allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "waits for room", make: || piped::full(SPLICE), gives: Ok(4) },
        Input { words: "the end of the input", make: || piped::from(SPLICE, world::pipe()), gives: Ok(0) },
        Input {
            words: "no descriptor",
            make: || piped::from(SPLICE, world::not_open()),
            gives: Err(libc::EBADF),
        },
        Input {
            words: "to no descriptor",
            make: || piped::to(SPLICE, world::not_open()),
            gives: Err(libc::EBADF),
        },
        Input { words: "O_PATH", make: || piped::from(SPLICE, world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "to O_PATH", make: || piped::to(SPLICE, world::path_only()), gives: Err(libc::EBADF) },
        Input {
            words: "from the wrong end",
            make: || piped::from(SPLICE, world::piped().1.into()),
            gives: Err(libc::EBADF),
        },
        Input {
            words: "to the wrong end",
            make: || piped::to(SPLICE, world::piped().0.into()),
            gives: Err(libc::EBADF),
        },
        Input {
            words: "a process",
            make: || piped::from(SPLICE, world::process()),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "to a process",
            make: || piped::to(SPLICE, world::process()),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "an epoll instance",
            make: || piped::from(SPLICE, world::epoll()),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "nothing, from nowhere",
            make: || Scene::new(Request::splice(world::not_open(), world::piped().1, 0)),
            gives: Ok(0),
        },
        Input { words: "to itself", make: || piped::itself(SPLICE), gives: Err(libc::EINVAL) },
        Input { words: "nothing", make: || piped::filled(SPLICE, 0), gives: Ok(0) },
        Input { words: "a part", make: || piped::filled(SPLICE, 3), gives: Ok(3) },
        Input { words: "very much", make: || piped::filled(SPLICE, usize::MAX), gives: Ok(4) },
        Input {
            words: "a file",
            make: || piped::from(SPLICE, world::file(b"0123456789").into()),
            gives: Ok(10),
        },
        Input { words: "a file's end", make: || piped::from(SPLICE, world::scratch().into()), gives: Ok(0) },
        Input {
            words: "a directory",
            make: || piped::from(SPLICE, world::directory()),
            gives: Err(libc::EINVAL),
        },
        Input { words: "to a file", make: || piped::to(SPLICE, world::scratch().into()), gives: Ok(4) },
        Input {
            words: "to the end of a file",
            make: || piped::to(SPLICE, appending()),
            gives: Err(libc::EINVAL),
        },
        Input { words: "to a device", make: || piped::to(SPLICE, world::null()), gives: Ok(4) },
        Input {
            words: "to what is not connected",
            make: || piped::to(SPLICE, world::unconnected()),
            gives: Err(libc::EPIPE),
        },
        Input { words: "no pipe at all", make: no_pipe, gives: Err(libc::EINVAL) },
        Input { words: "at an offset", make: || at(Some(4), None), gives: Ok(6) },
        Input { words: "at another offset", make: moved, gives: Ok(3) },
        Input { words: "behind the end", make: || at(Some(1 << 40), None), gives: Ok(0) },
        Input { words: "at no offset", make: || at(Some(u64::MAX), None), gives: Err(libc::EINVAL) },
        Input { words: "an offset of a pipe", make: || at(None, Some(0)), gives: Err(libc::ESPIPE) },
    ],
};

fn appending() -> Source {
    let file = world::scratch();
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_APPEND) }, 0);
    file.into()
}

fn no_pipe() -> Scene {
    Scene::new(Request::splice(world::connected().0, world::scratch(), 1))
}

fn moved() -> Scene {
    let scene = at(Some(4), None);
    Scene { request: scene.request.at_offset(7), ..scene }
}

fn at(from: Option<u64>, to: Option<u64>) -> Scene {
    let (reader, writer) = world::piped();
    let file = world::file(b"0123456789");
    Scene::new(Request::splice_at(file, from, writer, to, 100)).keeping(reader)
}
