//! Datagrams received.

use crate::common::{each_driver, room};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use std::io::Write;
use std::net::UdpSocket;
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::RecvFrom,
    on_descriptor: true,
    completes: Cell::Can { make: waits, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: refused, allowed: &[Outcome::Failed(libc::ECONNREFUSED)] },
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
        Input { words: "a stream", make: stream, gives: Ok(8) },
    ],
};

fn of(socket: Source) -> Scene {
    Scene::new(Request::recv_from(socket, room(8)))
}

/// The datagram is in the event or in the socket.
fn waits() -> Scene {
    let (near, far) = (Arc::new(world::datagrams()), world::datagrams());
    let (to, from) = (world::at(&near), world::at(&far));
    let left = near.clone();
    Scene::new(Request::recv_from(near, room(64)))
        .cause(move || assert_eq!(far.send_to(b"a datagram", to).unwrap(), 10))
        .check(move |got, outcome| {
            let rest = world::rest_of(&left);
            let is_due = match outcome {
                Outcome::Done => got.buffer == b"a datagram" && got.address == Some(from) && rest.is_empty(),
                _ => got.buffer.is_empty() && got.address.is_none() && rest == b"a datagram",
            };
            ensure(is_due && !got.truncated, || format!("{got:?}, and in the socket {rest:?}"))
        })
}

/// It has sent to somebody who takes datagrams from others only: the kernel says so.
fn refused() -> Scene {
    let (near, nobody) = (Arc::new(world::datagrams()), world::datagrams());
    nobody.connect(world::at(&nobody)).unwrap();
    near.connect(world::at(&nobody)).unwrap();
    let sends = near.clone();
    of(Source::from(near)).cause(move || assert_eq!(sends.send(b"x").unwrap(), 1)).keeping(nobody)
}

/// The datagram is lost.
fn no_room() -> Scene {
    let (near, far) = (Arc::new(world::datagrams()), world::datagrams());
    far.send_to(b"lost", world::at(&near)).unwrap();
    let left = near.clone();
    Scene::new(Request::recv_from(near, Vec::new())).check(move |got, _| {
        let rest = world::rest_of(&left);
        let is_due = got.truncated && got.address == Some(world::at(&far)) && rest.is_empty();
        ensure(is_due, || format!("{got:?}, and in the socket {rest:?}"))
    })
}

/// There is no sender's address then.
fn stream() -> Scene {
    let (near, mut far) = world::connected();
    far.write_all(b"no datagram").unwrap();
    let near = Arc::new(near);
    Scene::new(Request::recv_from(near.clone(), room(8))).check(move |got, _| {
        let (rest, _open) = (world::rest_of(&near), far);
        let is_due = got.buffer == b"no datag" && got.address.is_none() && rest == b"ram" && !got.truncated;
        ensure(is_due, || format!("{got:?}, and in the socket {rest:?}"))
    })
}

#[test]
fn datagrams_carry_their_addresses_and_say_when_cut_off() {
    limit(30, || {
        each_driver(|channel| {
            let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
            let (at, from) = (a.local_addr().unwrap(), b.local_addr().unwrap());
            channel.post(Request::recv_from(a, room(4))).unwrap();
            channel.post(Request::send_to(b, b"datagram".to_vec(), at)).unwrap();
            for _ in 0..2 {
                let event = channel.get_event().unwrap();
                if event.kind() == EventKind::RecvFrom {
                    assert_eq!((event.buffer(), event.address()), (&b"data"[..], Some(from)));
                    assert!(event.is_truncated());
                } else {
                    assert_eq!(event.result().unwrap(), 8);
                }
            }
        })
    });
}
