//! One connection after the other accepted: a stream.

#![allow(unsafe_code)]

use super::EventKind;
use super::accept::Accept;
use super::addressed::{Address, ROOM};
use crate::events::body::Kept;
use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::events::stream::{Flow, Found, GivenBack, Origin};
use crate::operation::{AtExit, Carry, Readiness, Verdict};
use io_uring::squeue;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Instant;

/// As [`Accept`], one of many.
struct Next(Accept);

// SAFETY: as accept4(2) does.
unsafe impl Carry for Next {
    fn waits_for(&self) -> Option<Readiness> {
        self.0.waits_for()
    }

    fn entry(&self) -> Option<squeue::Entry> {
        self.0.entry()
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.0.attempt(revents) }
    }

    /// Where one has come there may be others: who has to poll need not for each.
    unsafe fn first_attempt(&self, _resting: bool) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.0.attempt(0) }
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.0.last_attempt() }
    }

    fn is_woken_alone(&self) -> bool {
        self.0.is_woken_alone()
    }

    fn judge(&self, result: i32) -> Verdict {
        match -result {
            // Its peer has gone before it was accepted; the listener is as good as before.
            libc::ECONNABORTED => Verdict::Again,
            _ => self.0.judge(result),
        }
    }

    unsafe fn end_of_input(&self, revents: i16) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.0.end_of_input(revents) }
    }

    fn at_exit(&self) -> AtExit {
        self.0.at_exit()
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
        self.operation.0.fd
    }

    fn prepare(&mut self) {
        self.operation.0.fd = self.listener.raw();
    }

    fn flow(&mut self) -> Option<&mut Flow> {
        Some(&mut self.flow)
    }

    fn point(&mut self) -> *const dyn Carry {
        self.from.len = ROOM;
        let accept = &mut self.operation.0;
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
    /// It ends when it is cancelled, with its time limit, if the listener is shut down (`EINVAL`), and if no descriptor is left (`EMFILE`,
    /// `ENFILE`). Nothing is asked for again then before that is posted: if it is [again](crate::Event::again) the program should have
    /// closed something, or waited for a while.
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
        let operation = Next(Accept { fd: -1, addr: std::ptr::null_mut(), len: std::ptr::null_mut() });
        let flow = Flow::new(GivenBack::Fetched);
        Self::of(Stream { flow, listener: listener.into(), from: Address::none(), operation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_gone_does_not_end_the_stream() {
        let accept = Accept { fd: -1, addr: std::ptr::null_mut(), len: std::ptr::null_mut() };
        assert_eq!(Next(accept).judge(-libc::ECONNABORTED), Verdict::Again);
        assert_eq!(Next(accept).judge(-libc::EINVAL), Verdict::Final);
        assert_eq!(accept.judge(-libc::ECONNABORTED), Verdict::Final);
    }
}
