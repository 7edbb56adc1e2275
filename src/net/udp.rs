//! A UDP socket.

use super::addrs::{self, ToSocketAddrs};
use super::handles::handles;
use super::mode::{Mode, Way};
use super::{bind, sys};
use socket2::{SockAddr, SockRef};
use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

const NOW: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A UDP socket; as [`std::net::UdpSocket`].
///
/// Receiving and sending suspend the task or block the thread. A datagram longer than the buffer is
/// cut off, as with std.
///
/// ```
/// use event_channel::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// near.send_to(b"hello", far.local_addr()?)?;
/// let mut buf = [0; 16];
/// assert_eq!(far.recv_from(&mut buf)?, (5, near.local_addr()?));
/// # Ok(())
/// # }
/// ```
pub struct UdpSocket {
    // (Goes before the descriptor is closed.)
    mode: Mode,
    std: std::net::UdpSocket,
}

handles!(UdpSocket, std::net::UdpSocket);

/// Methods that go straight to std's.
macro_rules! options {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $arg:ident: $ty:ty)*) -> $result:ty;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// As getsockopt(2) or setsockopt(2).
        pub fn $name(&self $(, $arg: $ty)*) -> io::Result<$result> {
            self.std.$name($($arg),*)
        }
    )* };
}

impl UdpSocket {
    fn new(std: std::net::UdpSocket, mode: Mode) -> Self {
        Self { std, mode }
    }

    fn into_std(mut self) -> std::net::UdpSocket {
        self.mode.leave();
        self.std
    }

    /// Binds to the first of the addresses that can be had. Suspends to look up a name.
    ///
    /// If only a process that has just ended is in the way, and the kernel still puts its requests away, this waits up to
    /// 100 ms for that: it suspends the task, or the thread sleeps. A living holder is an error at once.
    ///
    /// # Errors
    /// That of the last address tried, as bind(2).
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        let std = bind::datagram(&addrs::all(addr)?)?;
        Ok(Self::new(std, Mode::new(sys::Origin::Here)))
    }

    /// Waits for a datagram; returns its length and the sender.
    ///
    /// # Errors
    /// As recvfrom(2); [`WouldBlock`](io::ErrorKind::WouldBlock) when the read timeout is over; that of a cancel
    /// or deadline.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buf, 0, |buf| self.std.recv_from(buf))
    }

    /// As [`recv_from`](Self::recv_from), and leaves the datagram in the queue.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buf, libc::MSG_PEEK, |buf| self.std.peek_from(buf))
    }

    fn receive_from(
        &self,
        buf: &mut [u8],
        flags: i32,
        std: impl FnOnce(&mut [u8]) -> io::Result<(usize, SocketAddr)>,
    ) -> io::Result<(usize, SocketAddr)> {
        let fd = self.std.as_fd();
        let room = buf.len();
        let cell = RefCell::new(buf);
        let (n, from) = self.mode.call(
            fd,
            Way::In,
            self.mode.data_likely(),
            || std(&mut cell.borrow_mut()),
            || sys::recv_from_now(fd, &mut cell.borrow_mut(), flags),
            |later| sys::recv_from(fd, &mut cell.borrow_mut(), flags, later),
        )?;
        self.mode.read_filled(n == room && n > 0);
        Ok((n, from))
    }

    /// Sends a datagram to the first of the addresses.
    ///
    /// # Errors
    /// As sendto(2); [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no address; that of a cancel or
    /// deadline.
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let to = addr.to_socket_addrs()?.next();
        let to =
            to.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to"))?;
        let fd = self.std.as_fd();
        let address = SockAddr::from(to);
        self.mode.call(
            fd,
            Way::Out,
            true,
            || self.std.send_to(buf, to),
            || SockRef::from(&fd).send_to_with_flags(buf, &address, NOW),
            |later| sys::send_to(fd, buf, &address, later),
        )
    }

    /// Connects to the first of the addresses that can be: `send` goes there, and only what comes from there
    /// is received. Suspends only to look up a name.
    ///
    /// # Errors
    /// That of the last address tried, as connect(2).
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        self.std.connect(&addrs::all(addr)?[..])
    }

    /// Sends a datagram to the address connected to.
    ///
    /// # Errors
    /// As send(2); that of a cancel or deadline.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let fd = self.std.as_fd();
        self.mode.call(
            fd,
            Way::Out,
            true,
            || self.std.send(buf),
            || SockRef::from(&fd).send_with_flags(buf, NOW),
            |later| sys::send(fd, buf, later),
        )
    }

    /// Waits for a datagram and returns its length.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.mode.receive(self.std.as_fd(), buf, 0, |buf| self.std.recv(buf))
    }

    /// As [`recv`](Self::recv), and leaves the datagram in the queue.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.mode.receive(self.std.as_fd(), buf, libc::MSG_PEEK, |buf| self.std.peek(buf))
    }

    /// Another handle of the same socket; options set through one hold for both.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        Ok(Self::new(self.std.try_clone()?, self.mode.another()))
    }

    /// Limits each receive; it then fails with [`WouldBlock`](io::ErrorKind::WouldBlock). `None`: no limit.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the duration is zero.
    pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.std.set_read_timeout(dur)?;
        self.mode.set_timeout(Way::In, dur);
        Ok(())
    }

    /// Limits each send; it then fails with [`WouldBlock`](io::ErrorKind::WouldBlock). `None`: no limit.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the duration is zero.
    pub fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.std.set_write_timeout(dur)?;
        self.mode.set_timeout(Way::Out, dur);
        Ok(())
    }

    /// With `true`, calls that would wait fail with [`WouldBlock`](io::ErrorKind::WouldBlock) instead, in tasks
    /// as in threads, for all handles. Until somebody calls this, the descriptor's mode is left alone.
    ///
    /// # Errors
    /// As ioctl(2).
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.mode.set_nonblocking(self.std.as_fd(), nonblocking)
    }

    options! {
        /// The local address.
        fn local_addr(&self) -> SocketAddr;
        /// The address connected to.
        fn peer_addr(&self) -> SocketAddr;
        /// The read timeout, as the kernel has it.
        fn read_timeout(&self) -> Option<Duration>;
        /// The write timeout, as the kernel has it.
        fn write_timeout(&self) -> Option<Duration>;
        /// Allows sending to a broadcast address.
        fn set_broadcast(&self, broadcast: bool) -> ();
        /// Whether sending to a broadcast address is allowed.
        fn broadcast(&self) -> bool;
        /// Whether IPv4 multicasts sent are received here as well.
        fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> ();
        /// What `set_multicast_loop_v4` has set.
        fn multicast_loop_v4(&self) -> bool;
        /// The time to live of IPv4 multicasts.
        fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> ();
        /// What `set_multicast_ttl_v4` has set.
        fn multicast_ttl_v4(&self) -> u32;
        /// Whether IPv6 multicasts sent are received here as well.
        fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> ();
        /// What `set_multicast_loop_v6` has set.
        fn multicast_loop_v6(&self) -> bool;
        /// Sets the time to live of the packets sent.
        fn set_ttl(&self, ttl: u32) -> ();
        /// The time to live of the packets sent.
        fn ttl(&self) -> u32;
        /// Joins a multicast group on the interface with the address given (unspecified: the system's choice).
        fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> ();
        /// Joins a multicast group on the interface with the index given (0: the system's choice).
        fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> ();
        /// Leaves a multicast group.
        fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> ();
        /// Leaves a multicast group.
        fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> ();
        /// Takes the socket's pending error (`SO_ERROR`).
        fn take_error(&self) -> Option<io::Error>;
    }
}
