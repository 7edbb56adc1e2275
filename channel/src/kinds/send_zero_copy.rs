//! Bytes sent from where they are.

#![allow(unsafe_code)]

use super::memory::Bytes;
use super::on_socket::OnSocket;
use super::{EventKind, send};
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Carry, Readiness, Verdict, is_interrupted};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::cell::Cell;
use std::os::fd::RawFd;

/// What is shorter is copied: that costs less than to hear when the kernel has let go of it.
const LEAST: usize = 3 * 1024;

/// As [`Send`](crate::raw::Send); but the ring does not copy the bytes, if it can do without. It is complete when nobody needs them any
/// more.
#[derive(Clone, Debug)]
pub struct SendZeroCopy {
    fd: RawFd,
    buf: *const u8,
    len: usize,
    flags: i32,
    /// They are copied: it has been seen that they have to be.
    copies: Cell<bool>,
}

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for SendZeroCopy {}

impl SendZeroCopy {
    /// `len` bytes at `buf`, through this socket; `flags` as for send(2).
    pub fn new(fd: RawFd, buf: *const u8, len: usize, flags: i32) -> Self {
        SendZeroCopy { fd, buf, len, flags, copies: Cell::new(false) }
    }
}

// SAFETY: `len` bytes at `buf` are read.
unsafe impl Carry for SendZeroCopy {
    fn waits_for(&self) -> Option<Readiness> {
        Some(Readiness { fd: self.fd, interest: libc::POLLOUT, line: send::line(self.flags) })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        let (fd, len, flags) = (types::Fd(self.fd), sys::clamp(self.len), self.flags | libc::MSG_NOSIGNAL);
        Some(match self.copies.get() || self.len < LEAST {
            true => opcode::Send::new(fd, self.buf, len).flags(flags).build(),
            false => opcode::SendZc::new(fd, self.buf, len).flags(flags).build(),
        })
    }

    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        self.copies.set(true);
        let flags = self.flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: by contract.
        sys::now(|| unsafe { libc::send(self.fd, self.buf.cast(), self.len, flags) })
    }

    fn judge(&self, result: i32) -> Verdict {
        match -result {
            libc::EAGAIN => Verdict::Await,
            errno if is_interrupted(errno) => Verdict::Again,
            // The kernel (before Linux 6.0), the socket or the limit of locked memory does not allow it. (Or a send is as wrong.)
            libc::EINVAL | libc::EOPNOTSUPP | libc::ENOMEM | libc::ENOBUFS if !self.copies.replace(true) => {
                Verdict::Again
            }
            _ => Verdict::Final,
        }
    }
}

impl OnSocket<Bytes> for SendZeroCopy {
    const KIND: EventKind = EventKind::SendZeroCopy;

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd) {
        self.fd = fd;
    }

    fn point(&mut self, memory: &mut Bytes) {
        (self.buf, self.len) = (memory.0.as_ptr(), memory.0.len());
    }
}

impl Request {
    /// As [`send`](Self::send), without a copy of the bytes where the kernel can do without one: on io_uring from Linux 6.0 on, with sockets
    /// of TCP and UDP, through most network devices. Elsewhere, and if there are less than 3 KiB, it is an ordinary send.
    ///
    /// The buffer is the kernel's until nobody needs it any more, and the event comes only then: with TCP, when the peer's side has
    /// acknowledged the bytes. A cancel, a limit ([`within`](Self::within)) and a [shutdown](crate::EventChannel::shutdown) of the channel end it
    /// while it waits for room in the socket; once the bytes are on their way they cannot hasten the event, and it says how many were sent. So a
    /// peer that takes nothing holds the event up, for as long as the connection lasts.
    ///
    /// It pays for large buffers, for those who need not have the event soon, and through a real device: what goes to this machine itself
    /// is copied all the same, when it is received.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::Read, net::{TcpListener, TcpStream}};
    /// let channel = EventChannel::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let near = TcpStream::connect(listener.local_addr()?)?;
    /// channel.post(Request::send_zero_copy(near, vec![7; 8192]))?;
    /// assert_eq!(channel.get_event()?.result()?, 8192); // it has arrived
    /// let mut all = vec![0; 8192];
    /// listener.accept()?.0.read_exact(&mut all)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_zero_copy(socket: impl Into<Source>, buffer: Vec<u8>) -> Self {
        let operation = SendZeroCopy::new(-1, std::ptr::null(), 0, 0);
        Self::on_socket(socket, operation, Bytes(buffer))
    }
}
