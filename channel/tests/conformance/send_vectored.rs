//! Bytes sent from several buffers.

use crate::common::each_driver;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventChannel, EventKind, Request, Source};
use ec_test_support::limit;
use std::sync::{Arc, Mutex};

pub static ROW: Row = Row {
    kind: EventKind::SendVectored,
    on_descriptor: true,
    completes: Cell::Can { make: waits, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: broken, allowed: &[Outcome::Failed(libc::EPIPE)] },
    cancelled: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: waits, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "no socket", make: || of(world::null()), gives: Err(libc::ENOTSOCK) },
        Input { words: "a pipe", make: || of(world::pipe()), gives: Err(libc::ENOTSOCK) },
        Input { words: "O_PATH", make: || of(world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "no descriptor", make: || of(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "not connected", make: || of(world::unconnected()), gives: Err(libc::EPIPE) },
        Input { words: "to nobody", make: || of(world::datagrams().into()), gives: Err(libc::EDESTADDRREQ) },
        Input { words: "too long a datagram", make: too_long, gives: Err(libc::EMSGSIZE) },
        Input { words: "no buffers", make: || all_of(vec![]), gives: Ok(0) },
        Input { words: "nothing", make: || all_of(vec![vec![], vec![]]), gives: Ok(0) },
        Input { words: "too many", make: || all_of(vec![vec![1]; 1025]), gives: Err(libc::EMSGSIZE) },
        Input { words: "just not too many", make: just_not_too_many, gives: Ok(2048) },
        Input { words: "one datagram", make: datagram, gives: Ok(5) },
    ],
};

fn of(socket: Source) -> Scene {
    Scene::new(Request::send_vectored(socket, vec![vec![2; 4], vec![2; 4]]))
}

/// No room is left, until the peer reads. What was sent arrives, and else nothing of it; the buffers are as they were.
fn waits() -> Scene {
    let (near, far) = world::streams();
    let filled = world::fill(&near, 1);
    let (reader, read) = (far.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = read.clone();
    let buffers = vec![vec![2; 50], vec![], vec![3; 1], vec![4; 49]];
    let (due, kept) = (buffers.concat(), buffers.clone());
    Scene::new(Request::send_vectored(near, buffers))
        .cause(move || read.lock().unwrap().extend(world::rest_of(&reader)))
        .check(move |got, outcome| {
            let mut all = std::mem::take(&mut *seen.lock().unwrap());
            all.extend(world::rest_of(&far));
            let sent = all.split_off(filled);
            let is_due = match outcome {
                Outcome::Done => sent == due && got.result == Ok(100),
                _ => sent.is_empty(),
            };
            ensure(is_due && got.buffers() == kept, || format!("{sent:?} arrived, {got:?}"))
        })
}

/// The peer leaves.
fn broken() -> Scene {
    let (near, far) = world::streams();
    world::fill(&near, 1);
    of(Source::from(near)).cause(move || drop(far))
}

fn too_long() -> Scene {
    let (one, other) = (world::datagrams(), world::datagrams());
    one.connect(world::at(&other)).unwrap();
    Scene::new(Request::send_vectored(one, vec![vec![2; 32_754]; 2])).keeping(other)
}

/// What arrives is what they hold, if it was sent.
fn all_of(buffers: Vec<Vec<u8>>) -> Scene {
    let (near, far) = world::streams();
    let all = buffers.concat();
    Scene::new(Request::send_vectored(near, buffers)).check(move |_, outcome| {
        let (rest, due) = (world::rest_of(&far), if outcome == Outcome::Done { &all[..] } else { &[] });
        ensure(rest == due, || format!("{rest:?} arrived"))
    })
}

/// (Empty ones do not count.)
fn just_not_too_many() -> Scene {
    let mut buffers = vec![vec![1, 2]; 1024];
    buffers.insert(0, Vec::new());
    buffers.push(Vec::new());
    all_of(buffers)
}

fn datagram() -> Scene {
    let (one, other) = (world::datagrams(), world::datagrams());
    one.connect(world::at(&other)).unwrap();
    Scene::new(Request::send_vectored(one, vec![b"on".to_vec(), b"e".to_vec(), b"ly".to_vec()])).check(
        move |_, _| {
            let mut room = [0; 64];
            let n = other.recv(&mut room).unwrap();
            ensure(&room[..n] == b"onely", || format!("{:?}", &room[..n]))
        },
    )
}

#[test]
fn what_was_not_posted_gives_its_buffers_back() {
    let channel = EventChannel::new().unwrap();
    channel.shutdown();
    let (near, _far) = world::streams();
    let refused = channel.post(Request::send_vectored(near, vec![vec![1], vec![2]])).unwrap_err();
    let mut request = refused.into_request();
    assert_eq!(request.take_buffers(), [[1], [2]]);
    assert!(request.take_buffers().is_empty());
}

#[test]
fn what_was_sent_can_be_sent_again() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = world::streams();
            channel.post(Request::send_vectored(near, vec![b"a".to_vec(), b"bc".to_vec()])).unwrap();
            let event = channel.get_event().unwrap();
            channel.post(event.again()).unwrap();
            let event = channel.get_event().unwrap();
            channel.post(event.again_with_buffers(vec![b"d".to_vec()])).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 1);
            assert_eq!(world::rest_of(&far), b"abcabcd");
        })
    });
}
