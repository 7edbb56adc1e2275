//! Bytes received into buffers of a pool.

use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{BufferPool, EventKind, Request, Source};
use std::io::Write;

pub static ROW: Row = Row {
    kind: EventKind::RecvPooled,
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
        Input { words: "its own end is shut", make: shut, gives: Ok(0) },
        Input { words: "no buffer is left", make: || none_left(false), gives: Ok(8) },
        Input { words: "no buffer is left, and the peer is gone", make: || none_left(true), gives: Ok(8) },
        Input { words: "no buffer is left before its limit", make: limited, gives: Err(libc::ETIME) },
        Input { words: "a datagram of nothing", make: nothing, gives: Ok(0) },
    ],
};

fn of(socket: Source) -> Scene {
    with(socket, 0)
}

/// Of a pool of one buffer, which is there still, or again, but for the bytes in the event.
fn with(socket: Source, bytes: usize) -> Scene {
    let pool = BufferPool::new(1, 8);
    Scene::new(Request::recv_pooled(socket, &pool)).check(move |got, outcome| {
        let taken = if outcome == Outcome::Done && bytes > 0 { 0 } else { 1 };
        let event = got.event.take();
        let (available, len) = (pool.available(), event.as_ref().map_or(0, |event| event.buffer().len()));
        drop(event);
        ensure(available == taken && len == bytes && pool.available() == 1, || {
            format!("{len} bytes, {available} buffers were left, and then {}", pool.available())
        })
    })
}

/// The bytes are in the event or in the socket.
fn waits() -> Scene {
    let (near, far) = world::streams();
    let (pool, writer) = (BufferPool::new(1, 64), far.clone());
    Scene::new(Request::recv_pooled(near.clone(), &pool))
        .cause(move || (&*writer).write_all(b"some bytes").unwrap())
        .check(move |got, outcome| {
            let (rest, _open) = (world::rest_of(&near), far);
            let mut event = got.event.take().unwrap();
            let taken = event.take_pooled();
            let bytes = taken.as_deref().unwrap_or(b"").to_vec();
            let is_due = match outcome {
                Outcome::Done => bytes == b"some bytes" && rest.is_empty() && pool.available() == 0,
                _ => bytes.is_empty() && rest == b"some bytes" && pool.available() == 1,
            };
            ensure(is_due && event.buffer().is_empty(), || {
                format!("received {bytes:?}, and in the socket {rest:?}; {} buffers", pool.available())
            })?;
            drop(taken);
            ensure(pool.available() == 1, || "the buffer has not come back".to_owned())
        })
}

/// The peer closes, and has not read what it was sent.
fn reset() -> Scene {
    let (near, far) = world::streams();
    (&*near).write_all(b"unread").unwrap();
    of(Source::from(near)).cause(move || drop(far))
}

fn shut() -> Scene {
    let (near, far) = world::streams();
    near.shutdown(std::net::Shutdown::Read).unwrap();
    of(Source::from(near)).keeping(far)
}

/// Another event has it, until that is dropped.
fn held(pool: &BufferPool) -> ec_channel::Event {
    let (near, far) = world::streams();
    (&*far).write_all(b"before").unwrap();
    let other = ec_channel::EventChannel::new().unwrap();
    other.post(Request::recv_pooled(near, pool)).unwrap();
    let event = other.get_event().unwrap();
    assert_eq!((event.buffer(), pool.available()), (&b"before"[..], 0));
    event
}

fn none_left(gone: bool) -> Scene {
    let pool = BufferPool::new(1, 8);
    let (held, (near, far)) = (held(&pool), world::streams());
    (&*far).write_all(b"longer than that").unwrap();
    let far = if gone { None } else { Some(far) };
    Scene::new(Request::recv_pooled(near, &pool)).cause(move || drop(held)).keeping((pool, far)).check(
        |got, _| {
            let event = got.event.take().unwrap();
            ensure(event.buffer() == b"longer t", || format!("{event:?}"))
        },
    )
}

fn limited() -> Scene {
    let pool = BufferPool::new(1, 8);
    let (held, (near, far)) = (held(&pool), world::streams());
    (&*far).write_all(b"here").unwrap();
    let request = Request::recv_pooled(near.clone(), &pool).within(crate::SOON);
    Scene::new(request).check(move |_, _| {
        let (rest, _open) = (world::rest_of(&near), (far, held));
        ensure(rest == b"here", || format!("{rest:?} in the socket"))
    })
}

fn nothing() -> Scene {
    let (one, other) = (world::datagrams(), world::datagrams());
    other.send_to(&[], world::at(&one)).unwrap();
    with(one.into(), 0).keeping(other)
}
