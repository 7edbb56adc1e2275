//! One connection after the other accepted: a stream.

#![allow(unsafe_code)]

use super::EventKind;
use super::accept::{Accept, listens};
use super::addressed::{Address, ROOM};
use crate::events::body::Kept;
use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::events::stream::{Flow, Found, GivenBack, Origin};
use crate::operation::{AtExit, Carry, Readiness, Verdict};
use io_uring::squeue;
use std::cell::Cell;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Instant;

/// So many connections that have failed before they were accepted are passed over, and then there is a rest. (One for each would be long
/// for those behind them; none would be a loop without end, if the error stays.)
const AT_ONCE: u32 = 16;

/// As [`Accept`], one of many.
struct Next {
    accept: Accept,
    /// So many have failed since the last rest.
    failed: Cell<u32>,
}

impl Next {
    fn new() -> Self {
        let accept = Accept { fd: -1, addr: std::ptr::null_mut(), len: std::ptr::null_mut() };
        Next { accept, failed: Cell::new(0) }
    }
}

/// What accept(2) says of the connection that it would have given: its peer has gone, or it had a network error, or a firewall is against
/// it. The listener is as good as before.
fn is_of_a_connection(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNABORTED
            | libc::ECONNRESET
            | libc::ECONNREFUSED
            | libc::ENETDOWN
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::EHOSTUNREACH
            | libc::ENONET
            | libc::EPROTO
            | libc::ENOPROTOOPT
            | libc::EOPNOTSUPP
            | libc::EPROTONOSUPPORT
            | libc::ESOCKTNOSUPPORT
            | libc::ETIMEDOUT
            | libc::ENOSR
            | libc::EPERM
    )
}

// SAFETY: as accept4(2) does.
unsafe impl Carry for Next {
    fn waits_for(&self) -> Option<Readiness> {
        self.accept.waits_for()
    }

    fn entry(&self) -> Option<squeue::Entry> {
        self.accept.entry()
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.accept.attempt(revents) }
    }

    /// Where one has come there may be others: who has to poll need not for each.
    unsafe fn first_attempt(&self, _resting: bool) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.accept.attempt(0) }
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.accept.last_attempt() }
    }

    fn is_woken_alone(&self) -> bool {
        self.accept.is_woken_alone()
    }

    fn judge(&self, result: i32) -> Verdict {
        match -result {
            // (Some of them are said of a socket, too, that nobody can accept from.)
            errno if is_of_a_connection(errno) && listens(self.accept.fd) => {
                let failed = self.failed.get() + 1;
                self.failed.set(failed % AT_ONCE);
                if failed == AT_ONCE { Verdict::Rest } else { Verdict::Again }
            }
            libc::ENOBUFS | libc::ENOMEM if listens(self.accept.fd) => Verdict::Rest,
            _ => self.accept.judge(result),
        }
    }

    unsafe fn end_of_input(&self, revents: i16) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.accept.end_of_input(revents) }
    }

    fn at_exit(&self) -> AtExit {
        self.accept.at_exit()
    }
}

/// (The kernel's own multishot accept takes connections as they come, whether there is room for them or not. So each is asked for.)
struct Stream {
    flow: Flow,
    listener: Source,
    from: Address,
    operation: Next,
}

impl Kept for Stream {
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
        self.operation.accept.fd
    }

    fn prepare(&mut self) {
        self.operation.accept.fd = self.listener.raw();
    }

    fn flow(&mut self) -> Option<&mut Flow> {
        Some(&mut self.flow)
    }

    fn point(&mut self) -> *const dyn Carry {
        self.from.len = ROOM;
        let accept = &mut self.operation.accept;
        (accept.addr, accept.len) = (self.from.as_mut_ptr(), &raw mut self.from.len);
        &raw const self.operation
    }

    fn item(&mut self, result: i32, _now: Instant, origin: &Origin<'_>) -> Result<Inside, i32> {
        // SAFETY: accept has just made this descriptor, for this item alone.
        let accepted = unsafe { OwnedFd::from_raw_fd(result) };
        let found = Connection { accepted: Some(accepted), from: self.from.get() };
        Ok(origin.item(self.kind(), &self.flow, found))
    }
}

/// What an item holds.
pub(super) struct Connection {
    pub(super) accepted: Option<OwnedFd>,
    from: Option<SocketAddr>,
}

impl Found for Connection {
    fn address(&self) -> Option<SocketAddr> {
        self.from
    }
}

impl Request {
    /// A stream of connections from a listening socket: each item is one, as the event of an [`accept`](Self::accept)
    /// ([`Event::take_accepted`](crate::Event::take_accepted), [`Event::address`](crate::Event::address)). Beyond its
    /// [credit](Self::credit), 64 if nothing is said, it pauses: the others wait with the listener, where they can be accepted elsewhere.
    /// A connection that nobody takes out of its item is closed with that.
    ///
    /// It goes on after errors that are a connection's and not the listener's: its peer has gone (`ECONNABORTED`, `ECONNRESET`,
    /// `ECONNREFUSED`, `ETIMEDOUT`), accept(2) passes on an error of the network (`ENETDOWN`, `ENETUNREACH`, `EHOSTDOWN`, `EHOSTUNREACH`,
    /// `ENONET`, `EPROTO`, `ENOPROTOOPT`, `EOPNOTSUPP`, `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT`, `ENOSR`), or a firewall is against it (`EPERM`). No
    /// item tells of them. After each 16 of them it rests, for 1 to 50 ms, so an error that stays costs little. It also
    /// goes on, after such a rest, when the kernel lacks memory (`ENOBUFS`, `ENOMEM`).
    ///
    /// It ends when it is cancelled, with its time limit, if the listener is shut down (`EINVAL`) or is none (`EINVAL`, `EOPNOTSUPP`), with
    /// any other error (`EACCES`, say), and if no descriptor is left (`EMFILE`, `ENFILE`). Nothing is asked for again then before that is
    /// posted: if it is [again](crate::Event::again) the program should have closed something, or waited for a while.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::net::{TcpListener, TcpStream};
    /// let channel = EventChannel::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let at = listener.local_addr()?;
    /// let id = channel.post(Request::accept_many(listener))?;
    /// for _ in 0..3 {
    ///     let client = TcpStream::connect(at)?;
    ///     let mut item = channel.get_event()?;
    ///     assert!(!item.is_last() && item.address() == Some(client.local_addr()?));
    ///     let _stream = TcpStream::from(item.take_accepted().unwrap());
    /// }
    /// channel.cancel(id);
    /// assert!(channel.get_event()?.is_last());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn accept_many(listener: impl Into<Source>) -> Self {
        let flow = Flow::new(GivenBack::Fetched);
        Self::of(Stream { flow, listener: listener.into(), from: Address::none(), operation: Next::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::AsRawFd;

    fn next(fd: i32) -> Next {
        let mut next = Next::new();
        next.accept.fd = fd;
        next
    }

    #[test]
    fn a_connection_that_is_gone_does_not_end_the_stream() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let accept = next(listener.as_raw_fd());
        for errno in [libc::ECONNABORTED, libc::EPROTO, libc::EOPNOTSUPP, libc::EPERM, libc::ENETDOWN] {
            assert_eq!(accept.judge(-errno), Verdict::Again);
            assert_eq!(accept.accept.judge(-errno), Verdict::Final);
        }
        for errno in [libc::EINVAL, libc::EBADF, libc::ENOTSOCK, libc::EACCES, libc::ENFILE] {
            assert_eq!(accept.judge(-errno), Verdict::Final);
        }
        // A socket that nobody can accept from says the same.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for errno in [libc::EOPNOTSUPP, libc::EPERM, libc::ENOMEM] {
            assert_eq!(next(socket.as_raw_fd()).judge(-errno), Verdict::Final);
        }
    }

    #[test]
    fn what_fails_time_and_again_rests() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let accept = next(listener.as_raw_fd());
        for _ in 0..3 {
            for _ in 1..AT_ONCE {
                assert_eq!(accept.judge(-libc::ECONNABORTED), Verdict::Again);
            }
            assert_eq!(accept.judge(-libc::EPROTO), Verdict::Rest);
            assert_eq!(accept.judge(-libc::ENOMEM), Verdict::Rest);
        }
    }
}
