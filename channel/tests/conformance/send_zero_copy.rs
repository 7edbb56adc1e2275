//! Bytes sent from where they are.

use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use std::io::Read;
use std::sync::{Arc, Mutex};

pub static ROW: Row = Row {
    kind: EventKind::SendZeroCopy,
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
        Input { words: "too long a datagram", make: || datagram(65_508), gives: Err(libc::EMSGSIZE) },
        Input { words: "a datagram", make: || datagram(5000), gives: Ok(5000) },
        Input { words: "a short datagram", make: || datagram(50), gives: Ok(50) },
        Input { words: "a socket that copies", make: local, gives: Ok(5000) },
        Input { words: "one that need not", make: taken, gives: Ok(5000) },
        Input { words: "nothing", make: nothing, gives: Ok(0) },
    ],
};

/// (Long enough not to be copied.)
const MUCH: usize = 5000;

fn of(socket: Source) -> Scene {
    Scene::new(Request::send_zero_copy(socket, vec![2; MUCH]))
}

/// No room is left, until the peer reads. What was sent arrives, and else nothing of it. (Through a socket that copies: how much room there is
/// in one of TCP changes by itself. What becomes of bytes that are not copied is in `tests/zero_copy.rs`.)
fn waits() -> Scene {
    let (near, far) = world::streams();
    let filled = world::fill(&near, 1);
    let (reader, read) = (far.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = read.clone();
    Scene::new(Request::send_zero_copy(near, vec![2; MUCH]))
        .cause(move || read.lock().unwrap().extend(world::rest_of(&reader)))
        .check(move |got, outcome| {
            let mut all = std::mem::take(&mut *seen.lock().unwrap());
            all.extend(world::rest_of(&far));
            let sent = all.split_off(filled);
            let due = if outcome == Outcome::Done { got.result } else { Ok(0) };
            ensure(due == Ok(sent.len()) && sent.iter().all(|byte| *byte == 2), || {
                format!("{} bytes arrived, {got:?}", sent.len())
            })?;
            ensure(got.buffer == [2; MUCH], || "the buffer is another".to_owned())
        })
}

/// The peer takes them.
fn taken() -> Scene {
    let (near, mut far) = world::connected();
    world::reset_when_closed(&near);
    of(near.into()).check(move |got, _| {
        let mut all = vec![0; got.result.unwrap_or(0)];
        far.read_exact(&mut all).unwrap();
        ensure(all == [2; MUCH], || format!("{} bytes arrived", all.len()))
    })
}

/// The peer leaves.
fn broken() -> Scene {
    let (near, far) = world::streams();
    world::fill(&near, 1);
    of(Source::from(near)).cause(move || drop(far))
}

fn datagram(len: usize) -> Scene {
    let (one, other) = (world::datagrams(), world::datagrams());
    one.connect(world::at(&other)).unwrap();
    Scene::new(Request::send_zero_copy(one, vec![2; len])).check(move |_, outcome| {
        let mut room = vec![0; len];
        let n = if outcome == Outcome::Done { other.recv(&mut room).unwrap() } else { len };
        ensure(n == len, || format!("{n} bytes arrived"))
    })
}

/// Of AF_UNIX: it takes no pages.
fn local() -> Scene {
    let (near, far) = world::streams();
    of(Source::from(near)).check(move |_, _| {
        let rest = world::rest_of(&far);
        ensure(rest == [2; MUCH], || format!("{} bytes arrived", rest.len()))
    })
}

fn nothing() -> Scene {
    let (near, far) = world::connected();
    Scene::new(Request::send_zero_copy(near, Vec::new())).keeping(far)
}
