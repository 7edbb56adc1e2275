//! Descriptors of all kinds, and what may have happened to them.

use crate::common::until_ready;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A descriptor, and who has its other end.
pub struct Thing {
    pub fd: OwnedFd,
    pub peer: Option<OwnedFd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    TcpFresh,
    TcpListener,
    UdpConnected,
    UdpUnconnected,
    UnixStream,
    UnixDatagram,
    UnixSeqpacket,
    UnixListener,
    PipeRead,
    PipeWrite,
    EventFd,
    TimerFd,
    Terminal,
    Netlink,
}

pub const KINDS: [Kind; 15] = [
    Kind::Tcp,
    Kind::TcpFresh,
    Kind::TcpListener,
    Kind::UdpConnected,
    Kind::UdpUnconnected,
    Kind::UnixStream,
    Kind::UnixDatagram,
    Kind::UnixSeqpacket,
    Kind::UnixListener,
    Kind::PipeRead,
    Kind::PipeWrite,
    Kind::EventFd,
    Kind::TimerFd,
    Kind::Terminal,
    Kind::Netlink,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Nothing,
    Data,
    Full,
    PeerShutWrite,
    PeerClosed,
    PeerReset,
    ErrorQueue,
    Urgent,
    ShutRead,
    ShutWrite,
    ShutBoth,
}

pub const CONDITIONS: [Condition; 11] = [
    Condition::Nothing,
    Condition::Data,
    Condition::Full,
    Condition::PeerShutWrite,
    Condition::PeerClosed,
    Condition::PeerReset,
    Condition::ErrorQueue,
    Condition::Urgent,
    Condition::ShutRead,
    Condition::ShutWrite,
    Condition::ShutBoth,
];

fn own(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: made just now, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn check(r: isize) {
    assert!(r >= 0, "{}", io::Error::last_os_error());
}

pub fn set_option(fd: &OwnedFd, level: i32, option: i32, value: i32) {
    // SAFETY: a live int.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const value).cast(), 4) } as isize);
}

pub fn set_nonblocking(fd: &OwnedFd) {
    let mut on = 1;
    // SAFETY: a live int.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONBIO, &raw mut on) } as isize);
}

fn socket(domain: i32, kind: i32) -> OwnedFd {
    // SAFETY: no pointer is passed.
    own(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, 0) })
}

fn pair(kind: i32) -> Thing {
    let mut fds = [0; 2];
    // SAFETY: room for two.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) } as isize);
    Thing { fd: own(fds[0]), peer: Some(own(fds[1])) }
}

fn udp(connected: bool) -> Thing {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    b.connect(a.local_addr().unwrap()).unwrap();
    if connected {
        a.connect(b.local_addr().unwrap()).unwrap();
    }
    Thing { fd: a.into(), peer: Some(b.into()) }
}

fn alone(fd: OwnedFd) -> Thing {
    Thing { fd, peer: None }
}

pub fn make(kind: Kind) -> Thing {
    match kind {
        Kind::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            Thing { fd: near.into(), peer: Some(listener.accept().unwrap().0.into()) }
        }
        Kind::TcpFresh => alone(socket(libc::AF_INET, libc::SOCK_STREAM)),
        Kind::TcpListener => alone(TcpListener::bind("127.0.0.1:0").unwrap().into()),
        Kind::UdpConnected => udp(true),
        Kind::UdpUnconnected => udp(false),
        Kind::UnixStream => pair(libc::SOCK_STREAM),
        Kind::UnixDatagram => pair(libc::SOCK_DGRAM),
        Kind::UnixSeqpacket => pair(libc::SOCK_SEQPACKET),
        Kind::UnixListener => {
            let it = socket(libc::AF_UNIX, libc::SOCK_STREAM);
            // It binds itself to a name that the kernel makes up.
            let family = libc::AF_UNIX as libc::sa_family_t;
            // SAFETY: an address of a family alone.
            unsafe {
                check(libc::bind(it.as_raw_fd(), (&raw const family).cast(), 2) as isize);
                check(libc::listen(it.as_raw_fd(), 4) as isize);
            }
            alone(it)
        }
        Kind::PipeRead | Kind::PipeWrite => {
            let (r, w) = io::pipe().unwrap();
            let (r, w) = (OwnedFd::from(r), OwnedFd::from(w));
            let (fd, peer) = if kind == Kind::PipeRead { (r, w) } else { (w, r) };
            Thing { fd, peer: Some(peer) }
        }
        // SAFETY: no pointer is passed.
        Kind::EventFd => alone(own(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })),
        Kind::TimerFd => {
            // SAFETY: no pointer is passed.
            alone(own(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) }))
        }
        Kind::Terminal => {
            let (mut a, mut b) = (0, 0);
            let (name, mode, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
            // SAFETY: room for two descriptors.
            check(unsafe { libc::openpty(&mut a, &mut b, name, mode, size) } as isize);
            Thing { fd: own(b), peer: Some(own(a)) }
        }
        Kind::Netlink => alone(socket(libc::AF_NETLINK, libc::SOCK_RAW)),
    }
}

pub fn write_four(fd: &OwnedFd) {
    // SAFETY: four bytes.
    check(unsafe { libc::write(fd.as_raw_fd(), b"abc\n".as_ptr().cast(), 4) });
}

/// Something to read, from the other end.
pub fn feed(kind: Kind, thing: &Thing) -> bool {
    let fd = thing.fd.as_raw_fd();
    let mut word = 1u64.to_ne_bytes();
    match kind {
        Kind::EventFd => {
            // SAFETY: eight bytes.
            check(unsafe { libc::write(fd, word.as_mut_ptr().cast(), 8) });
        }
        Kind::TimerFd => {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 1 };
            let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let at = libc::itimerspec { it_interval: never, it_value: now };
            // SAFETY: a live time.
            check(unsafe { libc::timerfd_settime(fd, 0, &at, std::ptr::null_mut()) } as isize);
            until_ready(&thing.fd, libc::POLLIN);
        }
        Kind::PipeWrite => return false,
        _ => {
            let Some(peer) = &thing.peer else { return false };
            write_four(peer);
            until_ready(&thing.fd, libc::POLLIN);
        }
    }
    true
}

/// Until nothing more goes in for some time: a kernel moves on what TCP has taken, and may let its window grow.
fn fill(fd: RawFd) {
    let block = [0u8; 4096];
    let mut refused = 0;
    // (What is acknowledged later makes room later: within 40 ms, or it was dropped, and then it makes none for long.)
    while refused < 5 || refused < 50 && is_under_way(fd) {
        // SAFETY: a live block, without waiting.
        if unsafe { libc::send(fd, block.as_ptr().cast(), 4096, libc::MSG_DONTWAIT) } >= 0 {
            refused = 0;
        } else {
            refused += 1;
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// Has TCP sent something that the peer has not acknowledged? (What it has not sent yet waits for the peer to read.)
fn is_under_way(fd: RawFd) -> bool {
    /// As linux/sockios.h has it.
    const SIOCOUTQNSD: libc::Ioctl = 0x894b;
    let (mut all, mut unsent) = (0i32, 0i32);
    // SAFETY: room for a number each.
    let asked = unsafe {
        libc::ioctl(fd, libc::TIOCOUTQ, &mut all) == 0 && libc::ioctl(fd, SIOCOUTQNSD, &mut unsent) == 0
    };
    asked && all > unsent
}

/// Lets it happen. False: it does not to this kind.
pub fn let_happen(condition: Condition, kind: Kind, thing: &mut Thing) -> bool {
    use Condition as C;
    use Kind as K;
    let fd = thing.fd.as_raw_fd();
    let stream = matches!(kind, K::Tcp | K::UnixStream | K::UnixSeqpacket);
    let socket = !matches!(kind, K::PipeRead | K::PipeWrite | K::EventFd | K::TimerFd | K::Terminal);
    let shut = |fd, how| {
        // SAFETY: no pointer is passed. (What is not connected says so, and is shut all the same.)
        unsafe { libc::shutdown(fd, how) };
        true
    };
    match condition {
        C::Nothing => true,
        C::Data => feed(kind, thing),
        C::Full if stream || kind == K::UnixDatagram => {
            if kind == K::Tcp {
                // They do not grow then.
                set_option(&thing.fd, libc::SOL_SOCKET, libc::SO_SNDBUF, 16 * 1024);
                set_option(thing.peer.as_ref().unwrap(), libc::SOL_SOCKET, libc::SO_RCVBUF, 16 * 1024);
            }
            fill(fd);
            true
        }
        C::PeerShutWrite if stream => {
            shut(thing.peer.as_ref().unwrap().as_raw_fd(), libc::SHUT_WR);
            until_ready(&thing.fd, libc::POLLRDHUP);
            true
        }
        C::PeerClosed => {
            let open = thing.peer.take().is_some();
            if open && stream {
                until_ready(&thing.fd, libc::POLLRDHUP);
            }
            open
        }
        C::PeerReset if kind == K::Tcp => {
            let linger = libc::linger { l_onoff: 1, l_linger: 0 };
            let peer = thing.peer.take().unwrap();
            let (level, option, at) = (libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast());
            // SAFETY: a live linger.
            check(unsafe { libc::setsockopt(peer.as_raw_fd(), level, option, at, 8) } as isize);
            drop(peer);
            until_ready(&thing.fd, 0);
            true
        }
        C::ErrorQueue => errors(kind, thing),
        C::Urgent if kind == K::Tcp => {
            // SAFETY: a byte.
            check(unsafe {
                libc::send(thing.peer.as_ref().unwrap().as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB)
            });
            until_ready(&thing.fd, libc::POLLPRI);
            true
        }
        C::ShutRead if socket => shut(fd, libc::SHUT_RD),
        C::ShutWrite if socket => shut(fd, libc::SHUT_WR),
        C::ShutBoth if socket => shut(fd, libc::SHUT_RDWR),
        _ => false,
    }
}

/// Something in the error queue, and no error that a call would return.
fn errors(kind: Kind, thing: &mut Thing) -> bool {
    let fd = thing.fd.as_raw_fd();
    match kind {
        Kind::UdpConnected | Kind::UdpUnconnected => {
            set_option(&thing.fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1);
            // Somebody else may have got the number meanwhile.
            let mut heard = false;
            while !heard {
                let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
                let to = socket2::SockAddr::from(nobody);
                if kind == Kind::UdpConnected {
                    socket2::SockRef::from(&thing.fd).connect(&to).unwrap();
                }
                // SAFETY: a byte and an address.
                check(unsafe { libc::sendto(fd, b"x".as_ptr().cast(), 1, 0, to.as_ptr().cast(), to.len()) });
                let mut ask = libc::pollfd { fd, events: 0, revents: 0 };
                // SAFETY: a live pollfd.
                heard = unsafe { libc::poll(&mut ask, 1, 1_000) } > 0;
            }
            let mut error = [0u8; 4];
            // SAFETY: room for a byte.
            unsafe { libc::recv(fd, error.as_mut_ptr().cast(), 4, libc::MSG_DONTWAIT) };
        }
        Kind::Tcp => {
            set_option(&thing.fd, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1);
            // SAFETY: a byte that is always there.
            check(unsafe { libc::send(fd, b"x".as_ptr().cast(), 1, libc::MSG_ZEROCOPY) });
            until_ready(&thing.fd, 0);
        }
        _ => return false,
    }
    true
}

/// Where somebody listens who never accepts, and whom datagrams reach who never receives: so nobody else gets them.
pub fn listening() -> ((TcpListener, UdpSocket), SocketAddr) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        if let Ok(sink) = UdpSocket::bind(at) {
            return ((listener, sink), at);
        }
    }
}
