//! Bytes sent.

use crate::common::{each_driver, none_for};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::{SOON, world};
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

pub static ROW: Row = Row {
    kind: EventKind::Send,
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
        Input { words: "it listens", make: || of(world::listener().into()), gives: Err(libc::EPIPE) },
        Input { words: "to nobody", make: || of(world::datagrams().into()), gives: Err(libc::EDESTADDRREQ) },
        Input { words: "too long a datagram", make: too_long, gives: Err(libc::EMSGSIZE) },
        Input { words: "nothing", make: nothing, gives: Ok(0) },
    ],
};

fn of(socket: Source) -> Scene {
    Scene::new(Request::send(socket, vec![2; 8]))
}

/// No room is left, until the peer reads. What was sent arrives, and else nothing of it.
fn waits() -> Scene {
    let (near, far) = world::streams();
    let filled = world::fill(&near, 1);
    let (reader, read) = (far.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = read.clone();
    Scene::new(Request::send(near, vec![2; 100]))
        .cause(move || read.lock().unwrap().extend(world::rest_of(&reader)))
        .check(move |got, outcome| {
            let mut all = std::mem::take(&mut *seen.lock().unwrap());
            all.extend(world::rest_of(&far));
            let sent = all.iter().filter(|byte| **byte == 2).count();
            let due = if outcome == Outcome::Done { got.result } else { Ok(0) };
            ensure(all.len() == filled + sent && due == Ok(sent), || {
                format!("{sent} bytes arrived, {got:?}")
            })?;
            ensure(outcome != Outcome::Done || sent == 100, || format!("{sent} of 100 bytes were sent"))
        })
}

/// The peer leaves.
fn broken() -> Scene {
    let (near, far) = world::streams();
    world::fill(&near, 1);
    Scene::new(Request::send(near, vec![2; 100])).cause(move || drop(far))
}

fn too_long() -> Scene {
    let (one, other) = (world::datagrams(), world::datagrams());
    one.connect(world::at(&other)).unwrap();
    Scene::new(Request::send(one, vec![2; 65_508])).keeping(other)
}

fn nothing() -> Scene {
    let (near, far) = world::streams();
    Scene::new(Request::send(near, Vec::new())).check(move |_, _| {
        let rest = world::rest_of(&far);
        ensure(rest.is_empty(), || format!("{rest:?} arrived"))
    })
}

#[test]
fn a_send_waits_for_room() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Arc::new(a);
            a.set_nonblocking(true).unwrap();
            while (&*a).write(&[1; 4096]).is_ok() {}
            a.set_nonblocking(false).unwrap();
            channel.post(Request::send(a.clone(), vec![2; 100])).unwrap();
            none_for(&channel, SOON);
            let mut sink = vec![0; 1 << 20];
            b.set_nonblocking(true).unwrap();
            while b.read(&mut sink).is_ok() {}
            let event = channel.get_event().unwrap();
            assert_eq!((event.kind(), event.result().unwrap()), (EventKind::Send, 100));
        })
    });
}

#[test]
fn a_send_to_a_closed_peer_is_an_error_not_a_signal() {
    limit(30, || {
        each_driver(|channel| {
            let (a, b) = UnixStream::pair().unwrap();
            drop(b);
            channel.post(Request::send(a, vec![0; 10])).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        })
    });
}

/// As a call that blocks. But poll(2) tells nobody of it: where a driver waits for that it fails only as the peer reads.
#[test]
fn a_send_fails_whose_own_side_is_shut_meanwhile() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = world::streams();
            world::fill(&near, 1);
            channel.post(Request::send(near.clone(), vec![2; 100])).unwrap();
            none_for(&channel, SOON);
            near.shutdown(std::net::Shutdown::Write).unwrap();
            let read = world::rest_of(&far);
            assert_eq!(channel.get_event().unwrap().failure().unwrap().errno(), libc::EPIPE);
            assert!(
                read.iter().chain(&world::rest_of(&far)).all(|byte| *byte == 1),
                "nothing of it was sent"
            );
        })
    });
}
