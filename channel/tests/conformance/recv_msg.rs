//! Messages received, with what goes with them.

use crate::common::messages::{Pipe, send_with};
use crate::common::room;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use std::io::Write;
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::RecvMsg,
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
        Input { words: "no room for descriptors", make: no_room, gives: Ok(3) },
        Input { words: "room for too many", make: much_room, gives: Ok(3) },
        Input { words: "the end", make: ended, gives: Ok(0) },
        Input { words: "a long datagram", make: long, gives: Ok(8) },
    ],
};

fn of(socket: Source) -> Scene {
    Scene::new(Request::recv_msg(socket, room(8), 1))
}

/// The bytes, and the descriptor, are in the event or in the socket.
fn waits() -> Scene {
    let (near, far) = world::streams();
    let (mut pipe, sender) = (Pipe::new(), far.clone());
    let given = pipe.writer();
    Scene::new(Request::recv_msg(near.clone(), room(64), 3))
        .cause(move || send_with(&sender, b"some bytes", &[&given]))
        .check(move |got, outcome| {
            let descriptors = got.take_descriptors();
            let (rest, _open) = (world::rest_of(&near), far);
            let is_due = match outcome {
                Outcome::Done => got.buffer == b"some bytes" && rest.is_empty() && descriptors.len() == 1,
                _ => got.buffer.is_empty() && rest == b"some bytes" && descriptors.is_empty(),
            };
            ensure(is_due && !got.truncated && !got.ancillary_truncated(), || {
                format!("{got:?} with {descriptors:?}, and in the socket {rest:?}")
            })?;
            let all_reach = descriptors.into_iter().all(|it| pipe.is_reached_by(it));
            ensure(all_reach && pipe.is_left(), || {
                "it is none of its descriptors, or was left open".to_owned()
            })
        })
}

/// The peer closes, and has not read what it was sent.
fn reset() -> Scene {
    let (near, far) = world::streams();
    (&*near).write_all(b"unread").unwrap();
    of(Source::from(near)).cause(move || drop(far))
}

fn with_one(descriptors: usize, has_room: bool) -> Scene {
    let (near, far) = world::streams();
    let mut pipe = Pipe::new();
    send_with(&far, b"one", &[&pipe.writer()]);
    Scene::new(Request::recv_msg(near, room(8), descriptors)).keeping(far).check(move |got, _| {
        let descriptors = got.take_descriptors();
        let is_due = descriptors.len() == usize::from(has_room) && got.ancillary_truncated() != has_room;
        ensure(got.buffer == b"one" && is_due, || format!("{got:?} with {descriptors:?}"))?;
        drop(descriptors);
        ensure(pipe.is_left(), || "a descriptor was left open".to_owned())
    })
}

fn no_room() -> Scene {
    with_one(0, false)
}

fn much_room() -> Scene {
    with_one(usize::MAX, true)
}

fn ended() -> Scene {
    let (near, far) = world::streams();
    drop(far);
    of(Source::from(near)).check(|got, _| ensure(got.take_descriptors().is_empty(), || format!("{got:?}")))
}

fn long() -> Scene {
    let (near, far) = (Arc::new(world::datagrams()), world::datagrams());
    far.send_to(b"longer than that", world::at(&near)).unwrap();
    of(Source::from(near)).check(move |got, _| {
        let is_due = got.truncated && got.address == Some(world::at(&far)) && !got.ancillary_truncated();
        ensure(got.buffer == b"longer t" && is_due, || format!("{got:?}"))
    })
}
