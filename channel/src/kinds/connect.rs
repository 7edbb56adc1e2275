//! A connection made.

#![allow(unsafe_code)]

use super::EventKind;
use super::addressed::Address;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Carry, Class, GoOn, Line, Readiness, Verdict, is_interrupted};
use crate::sys::{self, mode};
use io_uring::{opcode, squeue, types};
use socket2::SockAddr;
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// connect(2), without blocking the caller whatever the descriptor's mode.
#[derive(Clone, Copy, Debug)]
pub struct Connect {
    /// The socket, not yet connected.
    pub fd: RawFd,
    /// Whereto.
    pub addr: *const libc::sockaddr_storage,
    /// How much of `addr` is used.
    pub len: libc::socklen_t,
}

static CONNECT: Class = Class::new();

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for Connect {}

impl Connect {
    /// Starts it without blocking; `Some` if it is settled at once. The descriptor's mode is as before when this returns, so a connect in
    /// progress is unaffected by it.
    ///
    /// # Safety
    /// As connect(2).
    unsafe fn start(&self) -> Option<i32> {
        // SAFETY: by contract.
        let call = || match unsafe { libc::connect(self.fd, self.addr.cast(), self.len) } {
            0 => Ok(0),
            _ => Err(sys::errno()),
        };
        match mode::without_blocking(self.fd, call) {
            Ok(_) => Some(0),
            Err(libc::EINPROGRESS | libc::EINTR | libc::EALREADY) => None,
            Err(libc::EAGAIN) if self.is_to_unix() => None,
            Err(errno) => Some(-errno),
        }
    }

    /// Such a connect is made at once; or the listener has no room, and there is no telling when it has.
    fn is_to_unix(&self) -> bool {
        // SAFETY: who submits it keeps the address, which is so long.
        self.len as usize >= size_of::<libc::sa_family_t>()
            && i32::from(unsafe { (&raw const (*self.addr).ss_family).read_unaligned() }) == libc::AF_UNIX
    }
}

// SAFETY: `len` bytes at `addr` are read.
unsafe impl Carry for Connect {
    fn waits_for(&self) -> Option<Readiness> {
        let line = Line { barges: true, ..Line::new(&CONNECT, 0) };
        Some(Readiness { fd: self.fd, interest: libc::POLLOUT, line })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        Some(opcode::Connect::new(types::Fd(self.fd), self.addr.cast(), self.len).build())
    }

    /// What it has come to, having been begun before. The kernel is asked by a second connect(2), as a call that blocks asks itself: the
    /// socket's pending error may be gone, since any other call on the socket takes it.
    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        // (What lies in its error queue is no end of a connect. If there is no telling, a connect that goes on says so itself.)
        if sys::ready_now(self.fd, libc::POLLOUT).is_ok_and(|now| now & (libc::POLLOUT | libc::POLLHUP) == 0)
        {
            return None;
        }
        // SAFETY: by contract.
        match unsafe { self.start() } {
            Some(errno) if errno == -libc::EISCONN => Some(0),
            result => result,
        }
    }

    unsafe fn first_attempt(&self, _resting: bool) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.start() }
    }

    /// It goes on by itself; to call connect again would fail.
    fn judge(&self, result: i32) -> Verdict {
        match -result {
            libc::EINPROGRESS => Verdict::Await,
            libc::EAGAIN if self.is_to_unix() => Verdict::Await,
            errno if is_interrupted(errno) => Verdict::Await,
            _ => Verdict::Final,
        }
    }

    unsafe fn go_on(&self) -> GoOn {
        // SAFETY: by contract.
        unsafe { self.attempt(0) }.map_or(GoOn::NotYet, GoOn::Final)
    }
}

struct Held {
    socket: Source,
    to: Address,
    operation: Connect,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Connect as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("socket")
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.socket)
    }

    fn descriptor(&self) -> RawFd {
        self.operation.fd
    }

    fn prepare(&mut self) {
        self.operation.fd = self.socket.raw();
    }

    fn point(&mut self) -> *const dyn Carry {
        (self.operation.addr, self.operation.len) = (self.to.as_mut_ptr(), self.to.len);
        &raw const self.operation
    }

    fn address(&self) -> Option<SocketAddr> {
        self.to.get()
    }
}

impl Request {
    /// Connects a socket. After a failure the socket is of no further use. std has no sockets that are not connected yet; those of
    /// [`socket2`](crate::socket2) become std's.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// use ec_channel::socket2::{Domain, Socket, Type};
    /// use std::net::{TcpListener, TcpStream};
    /// # use std::time::Duration;
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let address = listener.local_addr()?;
    /// let channel = EventChannel::new()?;
    /// let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    /// let ours = socket.try_clone()?; // another descriptor of it
    /// channel.post(Request::connect(socket, address).within(Duration::from_secs(10)))?;
    /// let event = channel.get_event()?;
    /// event.result()?; // or `TimedOut`, say
    /// let stream = TcpStream::from(ours);
    /// assert_eq!(stream.peer_addr()?, address);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect(socket: impl Into<Source>, to: SocketAddr) -> Self {
        Self::connection(socket.into(), Address::of(to))
    }

    /// As [`connect`](Self::connect), to an address of whatever family. At a Unix socket whose listener has no room for one more it waits
    /// until there is, in either mode of the socket.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// use ec_channel::socket2::{Domain, SockAddr, Socket, Type};
    /// # use std::os::unix::net::UnixListener;
    /// # let path = std::env::temp_dir().join(format!("ec-doc-connect-{}", std::process::id()));
    /// # let listener = UnixListener::bind(&path)?;
    /// let channel = EventChannel::new()?;
    /// let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    /// channel.post(Request::connect_to(socket, SockAddr::unix(&path)?))?;
    /// let event = channel.get_event()?;
    /// # std::fs::remove_file(path)?;
    /// event.result()?;
    /// channel.post(Request::send(event.source().unwrap().clone(), b"hello".to_vec()))?;
    /// assert_eq!(channel.get_event()?.result()?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect_to(socket: impl Into<Source>, to: SockAddr) -> Self {
        Self::connection(socket.into(), Address::of_any(to))
    }

    fn connection(socket: Source, to: Address) -> Self {
        let operation = Connect { fd: -1, addr: std::ptr::null(), len: 0 };
        Self::of(Held { socket, to, operation })
    }
}
