//! Listeners and datagram sockets on 127.0.0.1.
//!
//! With SO_REUSEPORT, so that every thread of a thread-per-core runtime can have one of its own on the same port.

use std::mem::size_of_val;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Mutex;

/// The sockets of the shards: each takes its own.
pub type Shards<T> = Mutex<Vec<Option<T>>>;

fn bound(kind: i32, port: u16) -> OwnedFd {
    // SAFETY: plain calls on a descriptor that nobody else has yet, with values that live through them.
    unsafe {
        let fd = libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0, "socket");
        let one = 1i32;
        for option in [libc::SO_REUSEADDR, libc::SO_REUSEPORT] {
            libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const one).cast(), 4);
        }
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as _;
        address.sin_port = port.to_be();
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let bound = libc::bind(fd, (&raw const address).cast(), size_of_val(&address) as u32);
        assert_eq!(bound, 0, "bind");
        OwnedFd::from_raw_fd(fd)
    }
}

/// A listener; port 0 is any.
pub fn listen(port: u16) -> TcpListener {
    use std::os::fd::AsRawFd;
    let fd = bound(libc::SOCK_STREAM, port);
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::listen(fd.as_raw_fd(), 1024) }, 0, "listen");
    TcpListener::from(fd)
}

/// A datagram socket; port 0 is any.
pub fn udp(port: u16) -> UdpSocket {
    UdpSocket::from(bound(libc::SOCK_DGRAM, port))
}

/// One listener per shard on one port.
pub fn listeners(shards: usize) -> (u16, Shards<TcpListener>) {
    let first = listen(0);
    let port = first.local_addr().expect("address").port();
    (port, Mutex::new(on_one_port(first, shards, || listen(port))))
}

/// One datagram socket per shard on one port.
pub fn udps(shards: usize) -> (u16, Shards<UdpSocket>) {
    let first = udp(0);
    let port = first.local_addr().expect("address").port();
    (port, Mutex::new(on_one_port(first, shards, || udp(port))))
}

fn on_one_port<T>(first: T, n: usize, another: impl Fn() -> T) -> Vec<Option<T>> {
    std::iter::once(first).chain((1..n).map(|_| another())).map(Some).collect()
}
