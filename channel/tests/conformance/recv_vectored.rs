//! Bytes received into several buffers.

use crate::common::{each_driver, room};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use std::io::Write;
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::RecvVectored,
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
        Input { words: "no buffers", make: || into_nothing(vec![]), gives: Ok(0) },
        Input { words: "no room", make: || into_nothing(vec![vec![], vec![]]), gives: Ok(0) },
        Input { words: "too many", make: || into_many(1025), gives: Err(libc::EMSGSIZE) },
        Input { words: "just not too many", make: || into_many(1024), gives: Ok(1024) },
        Input { words: "a short datagram", make: || datagram(b"short"), gives: Ok(5) },
        Input { words: "a long datagram", make: || datagram(b"longer than that"), gives: Ok(8) },
    ],
};

fn of(socket: Source) -> Scene {
    Scene::new(Request::recv_vectored(socket, vec![room(4), room(4)]))
}

/// The bytes are in the event, in the order of its buffers, or in the socket.
fn waits() -> Scene {
    let (near, far) = world::streams();
    let writer = far.clone();
    let buffers = vec![room(3), room(0), b"old, replaced"[..4].to_vec(), room(64), room(1)];
    assert_eq!((buffers[0].capacity(), buffers[2].capacity()), (3, 4));
    Scene::new(Request::recv_vectored(near.clone(), buffers))
        .cause(move || (&*writer).write_all(b"some bytes").unwrap())
        .check(move |got, outcome| {
            let (rest, _open) = (world::rest_of(&near), far);
            let (due, left): ([&[u8]; 5], &[u8]) = match outcome {
                Outcome::Done => ([b"som", b"", b"e by", b"tes", b""], b""),
                _ => ([b""; 5], b"some bytes"),
            };
            ensure(got.buffers() == due && rest == left, || {
                format!("received {:?}, and in the socket {rest:?}", got.buffers())
            })
        })
}

/// The peer closes, and has not read what it was sent.
fn reset() -> Scene {
    let (near, far) = world::streams();
    (&*near).write_all(b"unread").unwrap();
    of(Source::from(near))
        .cause(move || drop(far))
        .check(|got, _| ensure(got.buffers() == [b"", b""], || format!("{got:?}")))
}

/// What is there stays.
fn into_nothing(buffers: Vec<Vec<u8>>) -> Scene {
    let (near, far) = world::connected();
    (&far).write_all(b"here").unwrap();
    let near = Arc::new(near);
    Scene::new(Request::recv_vectored(near.clone(), buffers)).check(move |_, _| {
        let (rest, _open) = (world::rest_of(&near), far);
        ensure(rest == b"here", || format!("{rest:?} in the socket"))
    })
}

/// A byte in each. (One of no capacity does not count.)
fn into_many(count: usize) -> Scene {
    let (near, far) = world::streams();
    (&*far).write_all(&[7; 1025]).unwrap();
    let mut buffers: Vec<_> = (0..count).map(|_| room(1)).collect();
    buffers.insert(5, Vec::new());
    Scene::new(Request::recv_vectored(near.clone(), buffers)).check(move |got, outcome| {
        let (rest, _open) = (world::rest_of(&near).len(), far);
        let all = got.buffers().concat().len();
        let due = if outcome == Outcome::Done { 1024 } else { 0 };
        ensure(all == due && rest == 1025 - all, || format!("{all} received, {rest} left"))
    })
}

fn datagram(bytes: &'static [u8]) -> Scene {
    let (near, far) = (world::datagrams(), world::datagrams());
    far.send_to(bytes, world::at(&near)).unwrap();
    of(near.into()).keeping(far).check(move |got, _| {
        let is_due = got.buffers().concat() == bytes[..bytes.len().min(8)];
        ensure(is_due && got.truncated == (bytes.len() > 8), || format!("{got:?}"))
    })
}

#[test]
fn buffers_can_be_used_again_and_taken() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = world::streams();
            (&*far).write_all(b"one").unwrap();
            channel.post(Request::recv_vectored(near, vec![room(2), room(2)])).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.buffers(), [&b"on"[..], b"e"]);
            (&*far).write_all(b"2").unwrap();
            channel.post(event.again()).unwrap();
            let mut event = channel.get_event().unwrap();
            assert_eq!(event.buffers(), [&b"2"[..], b""]);
            assert_eq!(event.take_buffers(), [&b"2"[..], b""]);
            assert!(event.buffers().is_empty() && event.buffer().is_empty());
            (&*far).write_all(b"three").unwrap();
            channel.post(event.again_with_buffers(vec![room(9)])).unwrap();
            assert_eq!(channel.get_event().unwrap().buffers(), [b"three"]);
        })
    });
}
