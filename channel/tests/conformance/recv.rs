//! Bytes received.

use crate::common::{each_driver, none_for, room};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::{SOON, world};
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::Recv,
    on_descriptor: true,
    completes: Cell::Can { make: waits, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: reset, allowed: &[Outcome::Failed(libc::ECONNRESET)] },
    cancelled: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: waits, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "no socket", make: || of(world::null()), gives: Err(libc::ENOTSOCK) },
        Input { words: "a pipe", make: || of(world::pipe()), gives: Err(libc::ENOTSOCK) },
        Input { words: "O_PATH", make: || of(world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "no descriptor", make: || of(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "not connected", make: || of(world::unconnected()), gives: Err(libc::ENOTCONN) },
        Input { words: "it listens", make: || of(world::listener().into()), gives: Err(libc::ENOTCONN) },
        Input { words: "no room", make: no_room, gives: Ok(0) },
        Input { words: "its own end is shut", make: shut, gives: Ok(0) },
    ],
};

fn of(socket: Source) -> Scene {
    Scene::new(Request::recv(socket, room(8)))
}

/// The bytes are in the event or in the socket.
fn waits() -> Scene {
    let (near, far) = world::streams();
    let writer = far.clone();
    Scene::new(Request::recv(near.clone(), room(64)))
        .cause(move || (&*writer).write_all(b"some bytes").unwrap())
        .check(move |got, outcome| {
            let (rest, _open) = (world::rest_of(&near), far);
            let due = if outcome == Outcome::Done {
                (&b"some bytes"[..], &b""[..])
            } else {
                (&b""[..], &b"some bytes"[..])
            };
            ensure((&got.buffer[..], &rest[..]) == due, || {
                format!("received {:?}, and in the socket {rest:?}", got.buffer)
            })
        })
}

/// The peer closes, and has not read what it was sent.
fn reset() -> Scene {
    let (near, far) = world::streams();
    (&*near).write_all(b"unread").unwrap();
    Scene::new(Request::recv(near, room(8))).cause(move || drop(far))
}

/// What is there stays.
fn no_room() -> Scene {
    let (near, far) = world::connected();
    (&far).write_all(b"here").unwrap();
    let near = Arc::new(near);
    Scene::new(Request::recv(near.clone(), Vec::new())).check(move |_, _| {
        let (rest, _open) = (world::rest_of(&near), far);
        ensure(rest == b"here", || format!("{rest:?} in the socket"))
    })
}

fn shut() -> Scene {
    let (near, far) = world::streams();
    near.shutdown(std::net::Shutdown::Read).unwrap();
    Scene::new(Request::recv(near, room(8))).keeping(far)
}

#[test]
fn a_receive_completes_with_the_bytes() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let id = channel.post(Request::recv(a, room(64)).token(9)).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"some bytes").unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!((event.id(), event.kind(), event.token()), (id, EventKind::Recv, 9));
            assert_eq!((event.result().unwrap(), event.buffer()), (10, &b"some bytes"[..]));
        })
    });
}

#[test]
fn a_receive_of_data_that_is_there_completes_at_once() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            b.write_all(b"early").unwrap();
            channel.post(Request::recv(a, room(3))).unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"ear");
        })
    });
}

#[test]
fn the_end_of_a_stream_is_a_receive_of_nothing() {
    limit(30, || {
        each_driver(|channel| {
            let (a, b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(64))).unwrap();
            none_for(&channel, SOON);
            drop(b);
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
        })
    });
}

#[test]
fn data_followed_by_the_end_gives_both_in_turn() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(64))).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"last words").unwrap();
            drop(b);
            let event = channel.get_event().unwrap();
            assert_eq!(event.buffer(), b"last words");
            channel.post(event.again()).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
        })
    });
}

#[test]
fn a_socket_in_non_blocking_mode_is_waited_for_all_the_same() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            a.set_nonblocking(true).unwrap();
            channel.post(Request::recv(a, room(8))).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"yes").unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"yes");
        })
    });
}
