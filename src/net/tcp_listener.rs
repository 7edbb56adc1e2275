//! A TCP server socket.

use super::addrs::{self, ToSocketAddrs};
use super::handles::handles;
use super::mode::{Mode, Way};
use super::{TcpStream, bind, sys};
use ec_pool::Cancelled;
use ec_pool::wait::Stop;
use std::io;
use std::iter::FusedIterator;
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A socket that listens for TCP connections; as [`std::net::TcpListener`].
///
/// ```
/// use event_channel::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let near = TcpStream::connect(listener.local_addr()?)?;
/// let (_far, addr) = listener.accept()?;
/// assert_eq!(addr, near.local_addr()?);
/// # Ok(())
/// # }
/// ```
pub struct TcpListener {
    // (Goes before the descriptor is closed.)
    mode: Mode,
    std: std::net::TcpListener,
}

handles!(TcpListener, std::net::TcpListener);

impl TcpListener {
    fn new(std: std::net::TcpListener, mode: Mode) -> Self {
        Self { std, mode }
    }

    fn into_std(mut self) -> std::net::TcpListener {
        self.mode.leave();
        self.std
    }

    /// Binds to the first of the addresses that can be had, with `SO_REUSEADDR`, and listens, with a
    /// backlog as long as the system allows (up to 4096).
    /// Port 0 asks for one of the system's choice. Suspends to look up a name.
    ///
    /// If only a process that has just ended is in the way, and the kernel still puts its requests away, this waits up to
    /// 100 ms for that: it suspends the task, or the thread sleeps. A living holder is an error at once.
    ///
    /// # Errors
    /// That of the last address tried, as bind(2) and listen(2).
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        let std = bind::listener(&addrs::all(addr)?)?;
        // std's backlog of 128 overflows when many clients come at once, and costs each of them a second.
        socket2::SockRef::from(&std).listen(BACKLOG)?;
        Ok(Self::new(std, Mode::new(sys::Origin::Here)))
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.std.local_addr()
    }

    /// Another handle of the same socket.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        Ok(Self::new(self.std.try_clone()?, self.mode.another()))
    }

    /// Waits for a connection: suspends the task or blocks the thread. A connection that has come is never lost
    /// to a cancel; the cancel is then delivered by the next call.
    ///
    /// # Errors
    /// As accept(2); that of a cancel or deadline.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let fd = self.std.as_fd();
        let (std, addr) = self.mode.call(
            fd,
            Way::In,
            // An attempt costs more than one system call.
            false,
            || self.std.accept(),
            || self.accept_now(),
            |later| {
                let (new, addr) = sys::accept(fd, later)?;
                let addr = addr.map_err(|_| Stop::Os(libc::EINVAL))?;
                Ok((std::net::TcpStream::from(new), addr))
            },
        )?;
        Ok((TcpStream::accepted(std, self.mode.accepted()), addr))
    }

    fn accept_now(&self) -> io::Result<(std::net::TcpStream, SocketAddr)> {
        let (new, addr) = ec_channel::accept_now(self.std.as_fd())?;
        let addr = addr.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((new.into(), addr))
    }

    /// The connections, one by one, each as from [`accept`](Self::accept). As std's it never ends by itself;
    /// it ends when the task is cancelled (which is that cancel's delivery).
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self, ended: false }
    }

    /// Sets the time to live of the packets sent.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.std.set_ttl(ttl)
    }

    /// The time to live of the packets sent.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn ttl(&self) -> io::Result<u32> {
        self.std.ttl()
    }

    /// Sets `IPV6_V6ONLY`, which cannot be changed any more once the socket is bound.
    ///
    /// # Errors
    /// As setsockopt(2).
    #[deprecated(note = "it can only be set before binding; as in std")]
    pub fn set_only_v6(&self, only_v6: bool) -> io::Result<()> {
        #[allow(deprecated)]
        self.std.set_only_v6(only_v6)
    }

    /// The value of `IPV6_V6ONLY`.
    ///
    /// # Errors
    /// As getsockopt(2).
    #[deprecated(note = "it can only be set before binding; as in std")]
    pub fn only_v6(&self) -> io::Result<bool> {
        #[allow(deprecated)]
        self.std.only_v6()
    }

    /// Takes the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.std.take_error()
    }

    /// With `true`, an accept that would wait fails with [`WouldBlock`](io::ErrorKind::WouldBlock) instead, in
    /// tasks as in threads, for all handles. Until somebody calls this, the descriptor's mode is left alone.
    ///
    /// # Errors
    /// As ioctl(2).
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.mode.set_nonblocking(self.std.as_fd(), nonblocking)
    }
}

/// The connections that a [`TcpListener`] accepts; see [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
    ended: bool,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        if self.ended {
            return None;
        }
        match self.listener.accept() {
            Ok((stream, _)) => Some(Ok(stream)),
            // The channel itself has ended: every further accept would say the same.
            Err(error) if Cancelled::is(&error) || error.raw_os_error() == Some(libc::ECANCELED) => {
                self.ended = true;
                None
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl FusedIterator for Incoming<'_> {}
