//! A connection accepted.

#![allow(unsafe_code)]

use super::EventKind;
use super::accept_many::Connection;
use super::addressed::{Address, ROOM};
use super::recv::INPUT;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::events::stream::Item;
use crate::operation::{AtExit, Carry, Class, Line, Readiness, Verdict, is_interrupted};
use crate::sys::{self, interrupt};
use io_uring::{opcode, squeue, types};
use socket2::SockAddr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// accept4(2) with `SOCK_CLOEXEC`; the result is the new descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Accept {
    /// The listening socket.
    pub fd: RawFd,
    /// Where the peer's address goes.
    pub addr: *mut libc::sockaddr_storage,
    /// In: the size of `addr`; out: what was used of it.
    pub len: *mut libc::socklen_t,
}

static ACCEPT: Class = Class::new();

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for Accept {}

// SAFETY: as accept4(2) does.
unsafe impl Carry for Accept {
    fn waits_for(&self) -> Option<Readiness> {
        Some(Readiness { fd: self.fd, interest: INPUT, line: Line::new(&ACCEPT, 0) })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        Some(
            opcode::Accept::new(types::Fd(self.fd), self.addr.cast(), self.len)
                .flags(libc::SOCK_CLOEXEC)
                .build(),
        )
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        // SAFETY: by contract.
        match unsafe { accept(self.fd, self.addr, self.len) } {
            Ok(new) => Some(new),
            // SAFETY: by contract.
            Err(libc::EAGAIN) => unsafe { self.end_of_input(revents) },
            Err(errno) => Some(-errno),
        }
    }

    /// What listens has its connections from readiness on.
    unsafe fn first_attempt(&self, _resting: bool) -> Option<i32> {
        // SAFETY: by contract.
        if listens(self.fd) { None } else { unsafe { self.attempt(0) } }
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.attempt(0) }
    }

    fn is_woken_alone(&self) -> bool {
        true
    }

    fn judge(&self, result: i32) -> Verdict {
        match -result {
            libc::EAGAIN => Verdict::Await,
            // The kernel remembers how many descriptors the process might have when an accept began. Is it of that time?
            libc::EMFILE if descriptor_to_be_had(self.fd) => Verdict::Again,
            errno if is_interrupted(errno) => Verdict::Again,
            _ => Verdict::Final,
        }
    }

    unsafe fn end_of_input(&self, revents: i16) -> Option<i32> {
        (revents & libc::POLLRDHUP != 0).then_some(-libc::EINVAL)
    }

    fn at_exit(&self) -> AtExit {
        AtExit::Accept
    }
}

/// May the process have one descriptor more, here and now?
fn descriptor_to_be_had(fd: RawFd) -> bool {
    // SAFETY: a duplicate, which nobody else knows.
    unsafe {
        let another = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0);
        another >= 0 && libc::close(another) == 0
    }
}

pub(super) fn listens(fd: RawFd) -> bool {
    let (mut listens, mut len) = (0i32, size_of::<i32>() as libc::socklen_t);
    let at = (&raw mut listens).cast();
    // SAFETY: an int and its length, both live.
    let call =
        || unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, at, &mut len) as isize };
    // (Who answers system calls in the kernel's place can be interrupted by a signal.)
    sys::now(call) == Some(0) && listens != 0
}

/// What poll(2) said may be over: others accept from the same socket. So the call may wait, for a moment. (Without a signal for
/// that it does not, and the descriptor's mode is another one meanwhile.)
///
/// # Safety
/// As accept4(2).
unsafe fn accept(
    fd: RawFd,
    addr: *mut libc::sockaddr_storage,
    len: *mut libc::socklen_t,
) -> Result<i32, i32> {
    // (If there is no telling the call says it.)
    if sys::ready_now(fd, libc::POLLIN) == Ok(0) && listens(fd) {
        return Err(libc::EAGAIN);
    }
    let call = || {
        // SAFETY: by contract.
        match unsafe { libc::accept4(fd, addr.cast(), len, libc::SOCK_CLOEXEC) } {
            new if new >= 0 => Ok(new),
            _ => Err(sys::errno()),
        }
    };
    match interrupt::briefly_or_without_blocking(fd, call) {
        Err(libc::EINTR) => Err(libc::EAGAIN),
        result => result,
    }
}

/// Accepts a connection that has come, and gives the peer's address. Where none has, or somebody else has taken it, this fails
/// with [`WouldBlock`](io::ErrorKind::WouldBlock), whatever the mode of the descriptor. It leaves that as it is. (If another
/// thread or process takes just this connection it may wait for 5 ms: see `getters-cancels-drivers.md`.)
///
/// # Errors
/// As accept4(2).
///
/// ```
/// use std::os::fd::AsFd;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let none = ec_channel::accept_now(listener.as_fd()).unwrap_err();
/// assert_eq!(none.kind(), std::io::ErrorKind::WouldBlock);
/// let near = std::net::TcpStream::connect(listener.local_addr()?)?;
/// let (_far, from) = ec_channel::accept_now(listener.as_fd())?;
/// assert_eq!(from.as_socket(), Some(near.local_addr()?));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn accept_now(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SockAddr)> {
    // SAFETY: the room for the address is as long as said, and what is returned is a descriptor that nobody else knows.
    unsafe {
        SockAddr::try_init(|addr, len| {
            let new = accept(listener.as_raw_fd(), addr.cast(), len).map_err(io::Error::from_raw_os_error)?;
            Ok(OwnedFd::from_raw_fd(new))
        })
    }
}

struct Held {
    listener: Source,
    from: Address,
    accepted: Option<OwnedFd>,
    operation: Accept,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Accept as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("listener")
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.listener)
    }

    fn descriptor(&self) -> RawFd {
        self.operation.fd
    }

    fn prepare(&mut self) {
        self.operation.fd = self.listener.raw();
        self.accepted = None;
    }

    fn point(&mut self) -> *const dyn Carry {
        self.from.len = ROOM;
        (self.operation.addr, self.operation.len) = (self.from.as_mut_ptr(), &raw mut self.from.len);
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        if result < 0 {
            // The address of an earlier use is not that of this one.
            self.from.len = 0;
            return result;
        }
        // SAFETY: accept has just made this descriptor, for this event alone.
        self.accepted = Some(unsafe { OwnedFd::from_raw_fd(result) });
        0
    }

    fn address(&self) -> Option<SocketAddr> {
        self.from.get()
    }
}

impl Request {
    /// A connection from a listening socket; see [`Event::take_accepted`]. [`accept_many`](Self::accept_many) goes on.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// use std::net::{TcpListener, TcpStream};
    /// let channel = EventChannel::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// channel.post(Request::accept(listener))?;
    /// let mut event = channel.get_event()?;
    /// event.result()?;
    /// let stream = TcpStream::from(event.take_accepted().unwrap());
    /// assert_eq!(event.address(), Some(stream.peer_addr()?));
    /// channel.post(event.again())?; // the next one
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn accept(listener: impl Into<Source>) -> Self {
        let operation = Accept { fd: -1, addr: std::ptr::null_mut(), len: std::ptr::null_mut() };
        Self::of(Held { listener: listener.into(), from: Address::none(), accepted: None, operation })
    }
}

impl Event {
    /// The accepted connection, once. One that is not taken is closed with the event.
    pub fn take_accepted(&mut self) -> Option<OwnedFd> {
        if let Some(one_of_many) = self.0.of_kind_mut::<Item<Connection>>() {
            return one_of_many.found.accepted.take();
        }
        self.0.of_kind_mut::<Held>()?.accepted.take()
    }
}
