//! Connections accepted.

use crate::common::each_driver;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};

pub static ROW: Row = Row {
    kind: EventKind::Accept,
    on_descriptor: true,
    completes: Cell::Can { make: waits, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: shut, allowed: &[Outcome::Failed(libc::EINVAL)] },
    cancelled: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: waits, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "no socket", make: || of(world::null()), gives: Err(libc::ENOTSOCK) },
        Input { words: "a pipe", make: || of(world::pipe()), gives: Err(libc::ENOTSOCK) },
        Input { words: "O_PATH", make: || of(world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "no descriptor", make: || of(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "it does not listen", make: || of(world::unconnected()), gives: Err(libc::EINVAL) },
        Input { words: "connected", make: || of(world::connected().0.into()), gives: Err(libc::EINVAL) },
        Input { words: "datagrams", make: || of(world::datagrams().into()), gives: Err(libc::EOPNOTSUPP) },
    ],
};

fn of(listener: Source) -> Scene {
    Scene::new(Request::accept(listener))
}

/// The connection is in the event or with the listener.
fn waits() -> Scene {
    let listener = Arc::new(world::listener());
    let (to, client) = (listener.local_addr().unwrap(), Arc::new(OnceLock::new()));
    let connects = client.clone();
    Scene::new(Request::accept(listener.clone()))
        .cause(move || {
            let stream = TcpStream::connect(to).unwrap();
            world::reset_when_closed(&stream);
            connects.set(stream).unwrap();
        })
        .check(move |got, outcome| {
            let from = client.get().unwrap().local_addr().unwrap();
            listener.set_nonblocking(true).unwrap();
            let waiting = listener.accept().ok().map(|(_, from)| from);
            let accepted = got.accepted.take().map(|it| TcpStream::from(it).peer_addr().unwrap());
            let due = if outcome == Outcome::Done { (Some(from), None) } else { (None, Some(from)) };
            ensure((accepted, waiting) == due && got.address == accepted, || {
                format!("of {from}: accepted {accepted:?} ({:?}), with the listener {waiting:?}", got.address)
            })
        })
}

/// It listens no more.
fn shut() -> Scene {
    let listener = Arc::new(world::listener());
    let shuts = listener.clone();
    of(Source::from(listener))
        .cause(move || socket2::SockRef::from(&*shuts).shutdown(std::net::Shutdown::Both).unwrap())
}

#[test]
fn an_accepted_connection_that_nobody_takes_is_closed() {
    limit(30, || {
        each_driver(|channel| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            channel.post(Request::accept(listener.clone())).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            drop(channel.get_event().unwrap());
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        })
    });
}
