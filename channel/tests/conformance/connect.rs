//! Connections made.

use crate::common::{Scratch, all_drivers, each_driver, fresh_socket, none_for, until_ready};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::table::channel_on;
use crate::{SOON, world};
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};

pub static ROW: Row = Row {
    kind: EventKind::Connect,
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
        Input { words: "it listens", make: || of(world::listener().into()), gives: Err(libc::EISCONN) },
        Input { words: "connected", make: connected, gives: Err(libc::EISCONN) },
        Input { words: "of AF_UNIX", make: || of(unix_socket()), gives: Err(libc::EINVAL) },
        Input { words: "an address of IPv6", make: || to("[::1]:9"), gives: Err(libc::EAFNOSUPPORT) },
        Input { words: "port 0", make: || to("127.0.0.1:0"), gives: Err(libc::ECONNREFUSED) },
        Input { words: "datagrams", make: || of(world::datagrams().into()), gives: Ok(0) },
    ],
};

fn of(socket: Source) -> Scene {
    Scene::new(Request::connect(socket, SocketAddr::from(([127, 0, 0, 1], 9))))
}

fn to(address: &str) -> Scene {
    Scene::new(Request::connect(world::unconnected(), address.parse().unwrap()))
}

fn unix_socket() -> Source {
    Source::from(UnixStream::pair().unwrap().0)
}

fn bound_to(address: SocketAddr) -> Socket {
    let socket = fresh_socket();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    world::reset_when_closed(&socket);
    socket
}

fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

/// Whoever listens has no room for one more: so the connect waits. Then somebody connects from there to here: such a pair is connected,
/// too.
fn waits() -> Scene {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let full = bound_to(anywhere);
    full.listen(0).unwrap();
    let first = TcpStream::connect(address_of(&full)).unwrap();
    world::reset_when_closed(&first);
    until_ready(&full, libc::POLLIN);
    let near = Arc::new(OwnedFd::from(bound_to(anywhere)));
    let (to, from) = (address_of(&full), TcpStream::from(near.try_clone().unwrap()).local_addr().unwrap());
    let peer = Arc::new(OnceLock::new());
    let (connects, connecting) = (peer.clone(), near.clone());
    Scene::new(Request::connect(near.clone(), to))
        .late()
        .begun(move || has_begun(&*connecting))
        .cause(move || {
            let far = bound_to(to);
            // (Refused, if it was cancelled before it was begun.)
            if far.connect(&from.into()).is_ok() {
                connects.set(TcpStream::from(far)).unwrap();
            }
        })
        .check(move |got, outcome| {
            let (near, _full) = (TcpStream::from(near.try_clone().unwrap()), (full, first));
            ensure(got.address == Some(to), || format!("it says that it went to {:?}", got.address))?;
            if outcome != Outcome::Done {
                return Ok(());
            }
            let mut far = peer.get().ok_or("nobody is connected")?;
            far.write_all(b"x").map_err(|error| error.to_string())?;
            let said = (near.peer_addr().ok(), (&near).read(&mut [0; 2]).ok());
            ensure(said == (Some(to), Some(1)), || format!("{said:?}"))
        })
}

/// A connection is under way, or was.
fn has_begun(socket: &impl AsFd) -> bool {
    const CLOSED: u8 = 7;
    let mut state = 0u8;
    let (at, mut len) = ((&raw mut state).cast(), 1);
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: room for the first byte of what there is to be told, which is the state.
    assert_eq!(unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, at, &mut len) }, 0);
    state != CLOSED
}

/// Nobody listens, and nobody else can.
fn refused() -> Scene {
    let nobody = fresh_socket();
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let to = address_of(&nobody);
    Scene::new(Request::connect(world::unconnected(), to)).keeping(nobody)
}

fn connected() -> Scene {
    let (near, far) = world::connected();
    of(Source::from(near)).keeping(far)
}

/// A Unix socket's listener, with room for one.
fn unix_listener(folder: &Scratch) -> (Socket, SockAddr) {
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let at = SockAddr::unix(folder.join("listener")).unwrap();
    listener.bind(&at).unwrap();
    listener.listen(0).unwrap();
    (listener, at)
}

/// In either mode of the socket: what connect(2) would wait for is waited for.
#[test]
fn a_connect_to_a_unix_socket_waits_for_room_at_its_listener() {
    limit(60, || {
        for driver in all_drivers() {
            let channel = channel_on(driver);
            for nonblocking in [false, true] {
                let folder = Scratch::quick();
                let (listener, at) = unix_listener(&folder);
                let connect = || {
                    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
                    socket.set_nonblocking(nonblocking).unwrap();
                    channel.post(Request::connect_to(socket, at.clone())).unwrap()
                };
                connect();
                let first = channel.get_event().unwrap();
                first.result().unwrap();
                connect();
                none_for(&channel, SOON);
                let (mut accepted, _) = listener.accept().unwrap();
                let second = channel.get_event().unwrap();
                assert_eq!(second.result().unwrap(), 0, "{driver}");
                // They are what they look like.
                channel.post(Request::send(first.source().unwrap().clone(), b"first".to_vec())).unwrap();
                assert_eq!(channel.get_event().unwrap().result().unwrap(), 5);
                let mut word = [0; 5];
                accepted.read_exact(&mut word).unwrap();
                assert_eq!(&word, b"first");
                // There is no room again, and it is given up.
                let third = connect();
                none_for(&channel, SOON);
                channel.cancel(third);
                assert!(channel.get_event().unwrap().is_cancelled(), "{driver}");
                drop(listener);
                connect();
                let refused = channel.get_event().unwrap().failure().unwrap();
                assert_eq!(refused.errno(), libc::ECONNREFUSED, "{driver}");
            }
        }
    });
}

#[test]
fn accept_and_connect_meet() {
    limit(30, || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = listener.local_addr().unwrap();
            channel.post(Request::accept(listener)).unwrap();
            none_for(&channel, SOON);
            let socket = Arc::new(std::os::fd::OwnedFd::from(fresh_socket()));
            channel.post(Request::connect(socket.clone(), to)).unwrap();
            let mut peer = None;
            for _ in 0..2 {
                let mut event = channel.get_event().unwrap();
                event.result().unwrap();
                if event.kind() == EventKind::Accept {
                    assert!(matches!(event.address(), Some(SocketAddr::V4(_))));
                    peer = event.take_accepted().map(TcpStream::from);
                }
            }
            let mut ours = TcpStream::from(socket.try_clone().unwrap());
            ours.write_all(b"x").unwrap();
            assert_eq!(peer.expect("accepted").read(&mut [0; 4]).unwrap(), 1);
            assert!(!is_nonblocking(&ours), "the descriptor keeps its mode");
        })
    });
}

fn is_nonblocking(fd: &impl std::os::fd::AsRawFd) -> bool {
    // SAFETY: no pointer is passed.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK != 0 }
}

#[test]
fn a_refused_connect_says_so() {
    limit(30, || {
        each_driver(|channel| {
            // Bound, so that nobody else gets the port, and not listening.
            let nobody = fresh_socket();
            nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            let to = nobody.local_addr().unwrap().as_socket().unwrap();
            channel.post(Request::connect(std::os::fd::OwnedFd::from(fresh_socket()), to)).unwrap();
            let error = channel.get_event().unwrap().result().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        })
    });
}
