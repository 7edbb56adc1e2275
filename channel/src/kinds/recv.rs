//! Bytes received.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::Room;
use super::on_socket::OnSocket;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{AtExit, Carry, Class, Line, Readiness};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;

/// recv(2); the result is the number of bytes, 0 at the end of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Recv {
    /// The socket.
    pub fd: RawFd,
    /// Where the bytes go.
    pub buf: *mut u8,
    /// How many at the most.
    pub len: usize,
    /// `MSG_PEEK` and the like.
    pub flags: i32,
}

static RECEIVE: Class = Class::new();

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for Recv {}

/// What waits for input waits for. (With its own bit, that the receiving side is shut down.)
pub(super) const INPUT: i16 = libc::POLLIN | libc::POLLRDHUP;

/// Receives of all sorts wait behind each other.
pub(super) fn line(flags: i32) -> Line {
    Line::new(&RECEIVE, flags)
}

// SAFETY: `len` bytes at `buf` are written.
unsafe impl Carry for Recv {
    fn waits_for(&self) -> Option<Readiness> {
        Some(Readiness { fd: self.fd, interest: INPUT, line: line(self.flags) })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        Some(opcode::Recv::new(types::Fd(self.fd), self.buf, sys::clamp(self.len)).flags(self.flags).build())
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        let flags = self.flags | libc::MSG_DONTWAIT;
        // SAFETY: by contract.
        let call = || unsafe { libc::recv(self.fd, self.buf.cast(), self.len, flags) };
        // SAFETY: by contract.
        sys::now(call).or_else(|| unsafe { self.end_of_input(revents) })
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.attempt(0) }
    }

    unsafe fn end_of_input(&self, revents: i16) -> Option<i32> {
        (revents & libc::POLLRDHUP != 0).then_some(0)
    }

    fn at_exit(&self) -> AtExit {
        AtExit::IfKept(self.fd)
    }
}

impl OnSocket<Room> for Recv {
    const KIND: EventKind = EventKind::Recv;

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd) {
        self.fd = fd;
    }

    fn point(&mut self, memory: &mut Room) {
        (self.buf, self.len) = (memory.0.as_mut_ptr(), memory.0.capacity());
    }
}

impl Request {
    /// Receives at most `buffer.capacity()` bytes; what the buffer held is replaced. The result is the number of bytes, 0 at the end
    /// of the stream.
    ///
    /// Of a datagram, what is longer than the buffer is lost, and nothing says so, [`Event::is_truncated`](crate::Event::is_truncated) neither:
    /// [`recv_from`](Self::recv_from) does.
    ///
    /// A buffer of no capacity (`Vec::new()`) receives nothing: the result is `Ok(0)`, which cannot be told from the end of the stream.
    /// When it comes is up to the kernel: with TCP as soon as there is something to receive, and what is there stays.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::Write, os::unix::net::UnixStream};
    /// let channel = EventChannel::new()?;
    /// let (near, mut far) = UnixStream::pair()?;
    /// # far.write_all(b"some words")?;
    /// # drop(far);
    /// channel.post(Request::recv(near, Vec::with_capacity(4096)))?;
    /// let mut received = Vec::new();
    /// loop {
    ///     let event = channel.get_event()?;
    ///     if event.result()? == 0 {
    ///         break;
    ///     }
    ///     received.extend_from_slice(event.buffer());
    ///     channel.post(event.again())?; // into the same buffer
    /// }
    /// assert_eq!(received, b"some words");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv(socket: impl Into<Source>, buffer: Vec<u8>) -> Self {
        let operation = Recv { fd: -1, buf: std::ptr::null_mut(), len: 0, flags: 0 };
        Self::on_socket(socket, operation, Room(buffer))
    }
}
