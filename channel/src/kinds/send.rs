//! Bytes sent.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::Bytes;
use super::on_socket::OnSocket;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Carry, Class, Line, Readiness};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;

/// send(2) with `MSG_NOSIGNAL`; the result is the number of bytes taken, perhaps fewer than given.
#[derive(Clone, Copy, Debug)]
pub struct Send {
    /// The socket.
    pub fd: RawFd,
    /// Where the bytes are.
    pub buf: *const u8,
    /// How many.
    pub len: usize,
    /// Further flags.
    pub flags: i32,
}

static SEND: Class = Class::new();

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl std::marker::Send for Send {}

/// Sends of all sorts wait behind each other.
pub(super) fn line(flags: i32) -> Line {
    Line::new(&SEND, flags)
}

// SAFETY: `len` bytes at `buf` are read.
unsafe impl Carry for Send {
    fn waits_for(&self) -> Option<Readiness> {
        Some(Readiness { fd: self.fd, interest: libc::POLLOUT, line: line(self.flags) })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        let flags = self.flags | libc::MSG_NOSIGNAL;
        Some(opcode::Send::new(types::Fd(self.fd), self.buf, sys::clamp(self.len)).flags(flags).build())
    }

    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        let flags = self.flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: by contract.
        sys::now(|| unsafe { libc::send(self.fd, self.buf.cast(), self.len, flags) })
    }
}

impl OnSocket<Bytes> for Send {
    const KIND: EventKind = EventKind::Send;

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
    /// Sends from the buffer. As send(2) it may send fewer bytes than there are; the event says how many.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::Read, os::unix::net::UnixStream};
    /// let channel = EventChannel::new()?;
    /// let (near, mut far) = UnixStream::pair()?;
    /// # let reader = std::thread::spawn(move || far.read_to_end(&mut Vec::new()));
    /// let long = vec![7; 1 << 20];
    /// channel.post(Request::send(near, long))?;
    /// loop {
    ///     let mut event = channel.get_event()?;
    ///     let sent = event.result()?;
    ///     let mut rest = event.take_buffer();
    ///     rest.drain(..sent);
    ///     if rest.is_empty() {
    ///         break;
    ///     }
    ///     channel.post(event.again_with(rest))?;
    /// }
    /// # assert_eq!(reader.join().unwrap()?, 1 << 20);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send(socket: impl Into<Source>, buffer: Vec<u8>) -> Self {
        let operation = Send { fd: -1, buf: std::ptr::null(), len: 0, flags: 0 };
        Self::on_socket(socket, operation, Bytes(buffer))
    }
}
