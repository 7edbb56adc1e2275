//! Messages sent, with what goes with them.

use crate::common::messages::{Pipe, receive_with};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{Ancillary, EventKind, Request, Source};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

pub static ROW: Row = Row {
    kind: EventKind::SendMsg,
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
        Input { words: "nothing but a descriptor", make: only_one, gives: Ok(0) },
        Input { words: "as many as there may be", make: || many(253), gives: Ok(1) },
        Input { words: "more", make: || many(254), gives: Err(libc::EINVAL) },
        Input { words: "many more", make: || many(3000), gives: Err(libc::EINVAL) },
        Input { words: "what is no descriptor", make: none, gives: Err(libc::EBADF) },
        Input { words: "to an address", make: datagram, gives: Ok(4) },
    ],
};

fn of(socket: Source) -> Scene {
    Scene::new(Request::send_msg(socket, vec![2; 8], Ancillary::new()))
}

/// No room is left, until the peer reads. What was sent arrives, with its descriptor, and else nothing of it.
fn waits() -> Scene {
    let (near, far) = world::streams();
    let filled = world::fill(&near, 1);
    let mut pipe = Pipe::new();
    let ancillary = Ancillary::new().descriptor(pipe.writer());
    let (reader, read) = (far.clone(), Arc::new(Mutex::new((Vec::new(), Vec::new()))));
    let seen = read.clone();
    let receive = |from: &_, all: &mut (Vec<u8>, Vec<OwnedFd>)| {
        while let Some((mut bytes, mut descriptors)) = receive_with(from) {
            all.0.append(&mut bytes);
            all.1.append(&mut descriptors);
        }
    };
    Scene::new(Request::send_msg(near, vec![2; 100], ancillary))
        .cause(move || receive(&*reader, &mut read.lock().unwrap()))
        .check(move |got, outcome| {
            let mut all = std::mem::take(&mut *seen.lock().unwrap());
            receive(&*far, &mut all);
            let (bytes, descriptors) = all;
            let sent = bytes.iter().filter(|byte| **byte == 2).count();
            let due = if outcome == Outcome::Done { (Ok(sent), 100, 1) } else { (got.result, 0, 0) };
            ensure((got.result, sent, descriptors.len()) == due && bytes.len() == filled + sent, || {
                format!("{sent} bytes arrived with {descriptors:?}, {got:?}")
            })?;
            let all_reach = descriptors.into_iter().all(|it| pipe.is_reached_by(it));
            // (The event has the one that was sent.)
            got.event = None;
            ensure(all_reach && pipe.is_left(), || {
                "it is none of its descriptors, or was left open".to_owned()
            })
        })
}

/// The peer leaves.
fn broken() -> Scene {
    let (near, far) = world::streams();
    world::fill(&near, 1);
    of(Source::from(near)).cause(move || drop(far))
}

/// It does not go without a byte.
fn only_one() -> Scene {
    let (near, far) = world::streams();
    let ancillary = Ancillary::new().descriptor(Pipe::new().writer());
    Scene::new(Request::send_msg(near, vec![], ancillary)).check(move |_, _| {
        let came = receive_with(&*far);
        ensure(came.is_none(), || format!("{came:?} arrived"))
    })
}

fn many(count: usize) -> Scene {
    let (near, far) = world::streams();
    let one = Source::from(Pipe::new().writer());
    let ancillary = (0..count).fold(Ancillary::new(), |all, _| all.descriptor(one.clone()));
    Scene::new(Request::send_msg(near, vec![1], ancillary)).check(move |_, outcome| {
        let came = receive_with(&*far).map_or(0, |(_, descriptors)| descriptors.len());
        ensure(came == if outcome == Outcome::Done { count } else { 0 }, || format!("{came} arrived"))
    })
}

fn none() -> Scene {
    let (near, far) = world::streams();
    Scene::new(Request::send_msg(near, vec![1], Ancillary::new().descriptor(world::not_open()))).keeping(far)
}

fn datagram() -> Scene {
    let (one, other) = (world::datagrams(), Arc::new(world::datagrams()));
    let from = world::at(&one);
    let to = socket2::SockAddr::from(world::at(&other));
    Scene::new(Request::send_msg_to(one, b"four".to_vec(), Ancillary::new(), to)).check(move |got, _| {
        let mut room = [0; 8];
        let came = UdpSocket::recv_from(&other, &mut room).unwrap();
        let is_due = came == (4, from) && &room[..4] == b"four" && got.address == Some(world::at(&other));
        ensure(is_due, || format!("{came:?}, {got:?}"))
    })
}
