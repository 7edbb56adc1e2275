//! A connection shut down, in one direction or in both.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, GoOn, Readiness, Verdict, is_interrupted};
use crate::sys;
use io_uring::{opcode, squeue};
use std::cell::Cell;
use std::net;
use std::os::fd::RawFd;

/// shutdown(2), which never blocks; the result is 0.
#[derive(Clone, Debug)]
pub struct Shutdown {
    fd: RawFd,
    how: i32,
    /// The call was made. (Else it was only its turn.)
    made: Cell<bool>,
}

impl Shutdown {
    /// Of a socket; `how` is `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`.
    pub fn new(fd: RawFd, how: i32) -> Self {
        Shutdown { fd, how, made: Cell::new(false) }
    }

    fn call(&self) -> i32 {
        self.made.set(true);
        // SAFETY: no pointer is passed.
        if unsafe { libc::shutdown(self.fd, self.how) } < 0 { -sys::errno() } else { 0 }
    }
}

// SAFETY: it touches nothing.
unsafe impl Carry for Shutdown {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    /// The ring has an operation for it, and a thread of its own for that. So it is only asked to say when it is this one's turn: what was
    /// posted before has been begun by then.
    fn entry(&self) -> Option<squeue::Entry> {
        Some(opcode::Nop::new().build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn judge(&self, result: i32) -> Verdict {
        if is_interrupted(-result) { Verdict::Again } else { Verdict::Final }
    }

    fn judge_success(&self, _result: i32) -> Verdict {
        if self.made.get() { Verdict::Final } else { Verdict::Ready }
    }

    unsafe fn go_on(&self) -> GoOn {
        GoOn::Final(self.call())
    }
}

// SAFETY: as above.
unsafe impl Blocking for Shutdown {
    unsafe fn at_once(&self) -> Option<i32> {
        Some(self.call())
    }

    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        self.call()
    }
}

struct Held {
    socket: Source,
    operation: Shutdown,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Shutdown as u8
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
        self.operation = Shutdown::new(self.socket.raw(), self.operation.how);
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }
}

impl Request {
    /// Shuts a connection down, in one direction or in both, as shutdown(2) does: who receives from it meanwhile gets the end of the
    /// stream, who sends an error. What was sent before still arrives. It never waits for anything. (A send that waits for room fails then.
    /// So what is to be sent before has to have come back before this is posted.)
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::Read, net::Shutdown, os::unix::net::UnixStream, sync::Arc};
    /// let channel = EventChannel::new()?;
    /// let (near, mut far) = UnixStream::pair()?;
    /// let near = Arc::new(near); // stays open
    /// channel.post(Request::shutdown(near.clone(), Shutdown::Write))?;
    /// channel.get_event()?.result()?;
    /// assert_eq!(far.read(&mut [0])?, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown(socket: impl Into<Source>, how: net::Shutdown) -> Self {
        let how = match how {
            net::Shutdown::Read => libc::SHUT_RD,
            net::Shutdown::Write => libc::SHUT_WR,
            net::Shutdown::Both => libc::SHUT_RDWR,
        };
        Self::of(Held { socket: socket.into(), operation: Shutdown::new(-1, how) })
    }
}
