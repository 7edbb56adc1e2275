//! Datagrams sent.

use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub static ROW: Row = Row {
    kind: EventKind::SendTo,
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
        Input { words: "not connected", make: || of(world::unconnected()), gives: Err(libc::EPIPE) },
        Input { words: "a stream of AF_UNIX", make: stream, gives: Err(libc::EISCONN) },
        Input { words: "an address of IPv6", make: || to("[::1]:9"), gives: Err(libc::EAFNOSUPPORT) },
        Input { words: "port 0", make: || to("127.0.0.1:0"), gives: Err(libc::EINVAL) },
        Input { words: "to all", make: || to("127.255.255.255:9"), gives: Err(libc::EACCES) },
        Input { words: "too long", make: || datagram(65_508, false), gives: Err(libc::EMSGSIZE) },
        Input { words: "a datagram", make: || datagram(8, true), gives: Ok(8) },
        Input { words: "the longest", make: || datagram(65_507, true), gives: Ok(65_507) },
        Input { words: "an empty one", make: || datagram(0, true), gives: Ok(0) },
    ],
};

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

fn of(socket: Source) -> Scene {
    Scene::new(Request::send_to(socket, vec![2; 8], ANYWHERE))
}

fn to(address: &str) -> Scene {
    Scene::new(Request::send_to(world::datagrams(), vec![2; 8], address.parse().unwrap()))
}

fn stream() -> Scene {
    let (near, far) = world::streams();
    of(Source::from(near)).keeping(far)
}

/// It arrives as it is, if it does.
fn datagram(len: usize, arrives: bool) -> Scene {
    let (near, far) = (world::datagrams(), world::datagrams());
    let from = world::at(&near);
    far.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    Scene::new(Request::send_to(near, vec![2; len], world::at(&far))).check(move |_, _| {
        let mut room = vec![0; 65_536];
        let got = far.recv_from(&mut room).ok();
        ensure(got == arrives.then_some((len, from)), || format!("{got:?} arrived"))
    })
}

/// No datagram of UDP has to wait on loopback. A message on such a pair has, while the peer has not read others; what address goes with
/// it is all the same there.
fn waits() -> Scene {
    let (near, far) = world::messages();
    let filled = world::fill(&near, 1);
    let (reader, read) = (far.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = read.clone();
    let near = Arc::new(OwnedFd::from(near.try_clone().unwrap()));
    Scene::new(Request::send_to(near, vec![2; 100], ANYWHERE))
        .cause(move || read.lock().unwrap().extend(world::rest_of(&reader)))
        .check(move |got, outcome| {
            let mut all = std::mem::take(&mut *seen.lock().unwrap());
            all.extend(world::rest_of(&far));
            let sent = all.iter().filter(|byte| **byte == 2).count();
            let due = if outcome == Outcome::Done { (Ok(100), 100) } else { (got.result, 0) };
            ensure((got.result, sent) == due && all.len() == filled + sent, || {
                format!("{sent} bytes arrived, {got:?}")
            })
        })
}

/// The peer closes, and has not read what it was sent.
fn reset() -> Scene {
    let (near, far) = world::messages();
    world::fill(&near, 1);
    let near = Arc::new(OwnedFd::from(near.try_clone().unwrap()));
    Scene::new(Request::send_to(near, vec![2; 100], ANYWHERE)).cause(move || drop(far))
}
