//! Everything from a descriptor gone to another one.

use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::{SOON, world};
use ec_channel::{EventKind, Request, Source};
use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::Pump,
    on_descriptor: true,
    completes: Cell::Can { make: through_sockets, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: nobody_reads, allowed: &[Outcome::Failed(libc::EPIPE)] },
    cancelled: Cell::Can { make: through_sockets, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: through_sockets, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: through_pipes, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "pipes", make: through_pipes, gives: Ok(4) },
        Input { words: "nothing but the end", make: || from(world::pipe()), gives: Ok(0) },
        Input { words: "a file", make: || from(world::file(&[7; 100_000]).into()), gives: Ok(100_000) },
        Input { words: "a file's end", make: || from(world::scratch().into()), gives: Ok(0) },
        Input { words: "a device", make: || from(world::null()), gives: Ok(0) },
        Input { words: "a directory", make: || from(world::directory()), gives: Err(libc::EISDIR) },
        Input { words: "a process", make: || from(world::process()), gives: Err(libc::EINVAL) },
        Input { words: "an epoll instance", make: || from(world::epoll()), gives: Err(libc::EINVAL) },
        Input { words: "not connected", make: || from(world::unconnected()), gives: Err(libc::ENOTCONN) },
        Input { words: "no descriptor", make: || from(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "O_PATH", make: || from(world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "the wrong end", make: || from(world::piped().1.into()), gives: Err(libc::EBADF) },
        Input { words: "to a file", make: || to(world::scratch().into()), gives: Ok(4) },
        Input { words: "to a device", make: || to(world::null()), gives: Ok(4) },
        Input { words: "to a full device", make: || to(full_device()), gives: Err(libc::ENOSPC) },
        Input { words: "to no connection", make: || to(world::unconnected()), gives: Err(libc::EPIPE) },
        Input { words: "to no descriptor", make: || to(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "to O_PATH", make: || to(world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "to the wrong end", make: || to(world::piped().0.into()), gives: Err(libc::EBADF) },
        Input { words: "its limit comes first", make: limited, gives: Err(libc::ETIME) },
    ],
};

fn full_device() -> Source {
    std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// To a socket.
fn from(source: Source) -> Scene {
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut far, &mut std::io::sink()));
    Scene::new(Request::pump(source, near)).keeping(reader)
}

/// Of a socket that has four bytes, and then its end.
fn to(source: Source) -> Scene {
    let (near, far) = world::streams();
    (&*far).write_all(b"here").unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    Scene::new(Request::pump(near, source)).keeping(far)
}

/// Each byte is where it is said to be.
fn through_sockets() -> Scene {
    let ((near, far), (next, last)) = (world::streams(), world::streams());
    let writes = far.clone();
    Scene::new(Request::pump(near.clone(), next).relay_end())
        .cause(move || {
            (&*writes).write_all(b"here").unwrap();
            writes.shutdown(Shutdown::Write).unwrap();
        })
        .check(move |got, outcome| {
            let _open = far;
            let pumped = got.event.as_ref().map_or(0, |event| event.pumped());
            let (came, rest) = (world::rest_of(&last), world::rest_of(&near));
            let all = [&came[..], &got.buffer[..], &rest[..]].concat();
            let is_so = all == b"here" && came.len() as u64 == pumped;
            ensure(is_so && (outcome == Outcome::Cancelled || pumped == 4), || {
                format!("{outcome}, {pumped}: came {came:?}, in hand {:?}, left {rest:?}", got.buffer)
            })
        })
}

fn through_pipes() -> Scene {
    let (reader, writer) = world::piped();
    let (next, last) = world::piped();
    // (The end of the input is when nobody has this any more.)
    let writer = Arc::into_inner(writer).unwrap();
    Scene::new(Request::pump(reader, last))
        .cause(move || {
            // (It may have been given up.)
            let _ = (&writer).write_all(b"here");
        })
        .check(move |got, outcome| {
            let pumped = got.event.as_ref().map_or(0, |event| event.pumped());
            let came = world::in_pipe(&next);
            let due: &[u8] = if outcome == Outcome::Done { b"here" } else { b"" };
            ensure(came == due && pumped == due.len() as u64, || format!("{outcome}, {pumped}: {came:?}"))
        })
}

fn nobody_reads() -> Scene {
    let (near, far) = world::streams();
    (&*far).write_all(b"here").unwrap();
    let (_, last) = world::piped();
    Scene::new(Request::pump(near, last)).keeping(far).check(|got, _| {
        let role = got.event.as_ref().and_then(|event| event.failure()).and_then(|failure| failure.role());
        ensure(role == Some("output") && got.buffer == b"here", || format!("{role:?}, {:?}", got.buffer))
    })
}

fn limited() -> Scene {
    let ((near, far), (next, last)) = (world::streams(), world::streams());
    Scene::new(Request::pump(near, next).within(SOON)).keeping((far, last))
}
