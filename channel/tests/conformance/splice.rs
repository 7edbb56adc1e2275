//! Bytes that went through a pipe.

use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::Splice,
    on_descriptor: true,
    completes: Cell::Can { make: waits, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: nobody_reads, allowed: &[Outcome::Failed(libc::EPIPE)] },
    cancelled: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: waits, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "waits for room", make: full, gives: Ok(4) },
        Input { words: "the end of the input", make: || from(world::pipe()), gives: Ok(0) },
        Input { words: "no descriptor", make: || from(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "to no descriptor", make: || to(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "O_PATH", make: || from(world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "to O_PATH", make: || to(world::path_only()), gives: Err(libc::EBADF) },
        Input {
            words: "from the wrong end",
            make: || from(world::piped().1.into()),
            gives: Err(libc::EBADF),
        },
        Input { words: "to the wrong end", make: || to(world::piped().0.into()), gives: Err(libc::EBADF) },
        Input { words: "to itself", make: itself, gives: Err(libc::EINVAL) },
        Input { words: "nothing", make: || filled(0), gives: Ok(0) },
        Input { words: "a part", make: || filled(3), gives: Ok(3) },
        Input { words: "very much", make: || filled(usize::MAX), gives: Ok(4) },
        Input { words: "a file", make: || from(world::file(b"0123456789").into()), gives: Ok(10) },
        Input { words: "a file's end", make: || from(world::scratch().into()), gives: Ok(0) },
        Input { words: "a directory", make: || from(world::directory()), gives: Err(libc::EINVAL) },
        Input { words: "to a file", make: || to(world::scratch().into()), gives: Ok(4) },
        Input { words: "to the end of a file", make: || to(appending()), gives: Err(libc::EINVAL) },
        Input { words: "to a device", make: || to(world::null()), gives: Ok(4) },
        Input {
            words: "to what is not connected",
            make: || to(world::unconnected()),
            gives: Err(libc::EPIPE),
        },
        Input { words: "no pipe at all", make: no_pipe, gives: Err(libc::EINVAL) },
        Input { words: "at an offset", make: || at(Some(4), None), gives: Ok(6) },
        Input { words: "behind the end", make: || at(Some(1 << 40), None), gives: Ok(0) },
        Input { words: "at no offset", make: || at(Some(u64::MAX), None), gives: Err(libc::EINVAL) },
        Input { words: "an offset of a pipe", make: || at(None, Some(0)), gives: Err(libc::ESPIPE) },
    ],
};

/// Into a pipe.
fn from(source: Source) -> Scene {
    let (reader, writer) = world::piped();
    Scene::new(Request::splice(source, writer, 100)).keeping(reader)
}

/// From a pipe that has four bytes.
fn to(source: Source) -> Scene {
    let (reader, writer) = world::piped();
    (&*writer).write_all(b"here").unwrap();
    Scene::new(Request::splice(reader, source, 100)).keeping(writer)
}

fn filled(len: usize) -> Scene {
    let (reader, writer) = world::piped();
    (&*writer).write_all(b"here").unwrap();
    let (next, last) = world::piped();
    Scene::new(Request::splice(reader, last, len)).keeping((writer, next))
}

fn itself() -> Scene {
    let (reader, writer) = world::piped();
    Scene::new(Request::splice(reader, writer, 100))
}

/// Each byte is where it is said to be.
fn waits() -> Scene {
    let (reader, writer) = world::piped();
    let (next, last) = world::piped();
    let writes = writer.clone();
    Scene::new(Request::splice(reader.clone(), last, 100))
        .cause(move || (&*writes).write_all(b"here").unwrap())
        .check(move |_, outcome| {
            let _open = writer;
            let (first, second) = (world::in_pipe(&reader), world::in_pipe(&next));
            let due: (&[u8], &[u8]) = if outcome == Outcome::Done { (b"", b"here") } else { (b"here", b"") };
            ensure((&*first, &*second) == due, || format!("{outcome}, and there are {first:?}, {second:?}"))
        })
}

fn nobody_reads() -> Scene {
    let (reader, writer) = world::piped();
    (&*writer).write_all(b"here").unwrap();
    let (_, last) = world::piped();
    Scene::new(Request::splice(reader, last, 100)).keeping(writer)
}

/// The second pipe has no room until somebody reads from it.
fn full() -> Scene {
    let (reader, writer) = world::piped();
    (&*writer).write_all(b"here").unwrap();
    let (next, last) = world::piped();
    world::fill_pipe(&last);
    let reads = Arc::clone(&next);
    Scene::new(Request::splice(reader, last, 100))
        .cause(move || drop(world::in_pipe(&reads)))
        .keeping((writer, next))
}

fn appending() -> Source {
    let file = world::scratch();
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_APPEND) }, 0);
    file.into()
}

fn no_pipe() -> Scene {
    Scene::new(Request::splice(world::connected().0, world::scratch(), 1))
}

fn at(from: Option<u64>, to: Option<u64>) -> Scene {
    let (reader, writer) = world::piped();
    let file = world::file(b"0123456789");
    Scene::new(Request::splice_at(file, from, writer, to, 100)).keeping(reader)
}
