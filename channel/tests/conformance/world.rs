//! Descriptors for scenes: useful ones, and such as are of no use.

use crate::common::fresh_socket;
use ec_channel::Source;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// No socket.
pub fn null() -> Source {
    Source::from(std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap())
}

pub fn directory() -> Source {
    Source::from(std::fs::File::open("/").unwrap())
}

/// The end of a pipe that is read from, and nobody has the other one.
pub fn pipe() -> Source {
    Source::from(OwnedFd::from(std::io::pipe().unwrap().0))
}

/// Open, and good for nothing.
pub fn path_only() -> Source {
    Source::from(std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/").unwrap())
}

/// A number that no descriptor has. (None of these tests opens so many.)
pub fn not_open() -> Source {
    struct NotOpen;

    impl AsFd for NotOpen {
        fn as_fd(&self) -> BorrowedFd<'_> {
            // SAFETY: nothing is done with it but what this test is about: the kernel is to say that there is none.
            unsafe { BorrowedFd::borrow_raw(1000) }
        }
    }
    Source::from(Arc::new(NotOpen))
}

/// A stream socket that is not connected.
pub fn unconnected() -> Source {
    Source::from(OwnedFd::from(fresh_socket()))
}

pub fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Of TCP.
pub fn connected() -> (TcpStream, TcpStream) {
    let listener = listener();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

pub fn datagrams() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

pub fn at(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// A file of this content that nobody else has, and that has no name.
pub fn file(content: &[u8]) -> std::fs::File {
    let file = scratch();
    file.write_all_at(content, 0).unwrap();
    file
}

/// A file of no length, to be read and written, that nobody else has, and that has no name.
pub fn scratch() -> std::fs::File {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("ec-conformance-{}-{made}", std::process::id()));
    let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// Both ends, to be kept by whoever sends, causes and looks.
pub fn streams() -> (Arc<UnixStream>, Arc<UnixStream>) {
    let (near, far) = UnixStream::pair().unwrap();
    (Arc::new(near), Arc::new(far))
}

/// A pair in which messages keep their bounds, and an address is taken no notice of.
pub fn messages() -> (Arc<Socket>, Arc<Socket>) {
    let (near, far) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    (Arc::new(near), Arc::new(far))
}

/// What is there to be read now.
pub fn rest_of(it: &impl AsFd) -> Vec<u8> {
    let socket = SockRef::from(it);
    socket.set_nonblocking(true).unwrap();
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = (&*socket).read(&mut some) {
        all.extend(&some[..n]);
    }
    socket.set_nonblocking(false).unwrap();
    all
}

/// Sends blocks of this byte until no more goes in. Gives how many bytes that were.
pub fn fill(it: &impl AsFd, byte: u8) -> usize {
    let socket = SockRef::from(it);
    // As little as the kernel allows.
    socket.set_send_buffer_size(1).unwrap();
    let mut all = 0;
    while let Ok(n) = socket.send_with_flags(&[byte; 512], libc::MSG_DONTWAIT) {
        all += n;
    }
    all
}

/// Its connection ends for the peer with a reset, and leaves nothing behind.
pub fn reset_when_closed(it: &impl AsRawFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (at, len) = ((&raw const linger).cast(), size_of::<libc::linger>() as libc::socklen_t);
    // SAFETY: a live linger, as long as said.
    let set = unsafe { libc::setsockopt(it.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, at, len) };
    assert_eq!(set, 0);
}

pub fn pidfd(pid: i32) -> Source {
    // SAFETY: no pointer is passed, and the descriptor is new and ours.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        Source::from(OwnedFd::from_raw_fd(fd as i32))
    }
}
