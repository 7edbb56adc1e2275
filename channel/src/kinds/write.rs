//! Bytes written, as write(2) writes them.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::Bytes;
use super::on_file::OnFile;
use super::positioned::{self, Position};
use super::send::Send;
use super::sort::{self, Sort};
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, Class, GoOn, Line, Readiness};
use crate::sys::sigpipe;
use io_uring::squeue;
use std::os::fd::RawFd;

/// write(2) without `SIGPIPE`; the result is the number of bytes taken, perhaps fewer than given.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    /// What is written to.
    pub fd: RawFd,
    /// Where the bytes are.
    pub buf: *const u8,
    /// How many.
    pub len: usize,
    /// What the descriptor is: [`Sort::of`] says it.
    pub sort: Sort,
}

static WRITE: Class = Class::new();

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl std::marker::Send for Write {}

impl Write {
    /// The same, to a socket.
    fn as_send(&self) -> Send {
        Send { fd: self.fd, buf: self.buf, len: self.len, flags: 0 }
    }

    /// (What nothing is written to says what it makes of that. A socket may send an empty datagram.)
    fn is_polled(&self) -> bool {
        self.sort.is_polled() && (self.len > 0 || self.sort == Sort::Socket)
    }

    fn is_of_socket(&self) -> bool {
        self.sort == Sort::Socket
    }
}

// SAFETY: `len` bytes at `buf` are read.
unsafe impl Carry for Write {
    fn waits_for(&self) -> Option<Readiness> {
        if self.is_of_socket() {
            return self.as_send().waits_for();
        }
        let waits_for = Readiness { fd: self.fd, interest: libc::POLLOUT, line: Line::new(&WRITE, 0) };
        self.is_polled().then_some(waits_for)
    }

    /// (To a terminal, and to many a pipe, the ring would write with a call that waits until all is written; and it would raise `SIGPIPE` in
    /// whatever thread the kernel chooses.)
    fn entry(&self) -> Option<squeue::Entry> {
        if self.is_of_socket() { self.as_send().entry() } else { None }
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        if self.is_of_socket() {
            // SAFETY: by contract.
            return unsafe { self.as_send().attempt(revents) };
        }
        let from = positioned::part(self.buf, self.len);
        // SAFETY: by contract.
        let with_flags = || unsafe { libc::pwritev2(self.fd, &from, 1, -1, libc::RWF_NOWAIT) };
        // SAFETY: by contract.
        let plain = || unsafe { libc::write(self.fd, self.buf.cast(), self.len) };
        let attempt = || sort::attempt(self.fd, libc::POLLOUT, with_flags, plain);
        if self.sort == Sort::Pipe { sigpipe::without(attempt) } else { attempt() }
    }

    unsafe fn go_on(&self) -> GoOn {
        if self.is_of_socket() {
            return GoOn::Call;
        }
        // SAFETY: by contract.
        sort::after(unsafe { self.attempt(0) }, self.fd, libc::POLLOUT)
    }
}

// SAFETY: as above.
unsafe impl Blocking for Write {
    /// (What can be polled is not blocking.)
    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        let call = || {
            // SAFETY: by contract.
            unsafe { libc::write(self.fd, self.buf.cast(), self.len) }
        };
        sort::wait(self.fd, self.sort, caller, call)
    }
}

impl OnFile<Bytes> for Write {
    const ROLE: &str = "descriptor";

    fn kind(&self) -> EventKind {
        EventKind::Write
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, may: &mut Position) {
        self.fd = fd;
        may.set(sort::prepare(fd, &mut self.sort));
    }

    fn point(&mut self, memory: &mut Bytes) {
        (self.buf, self.len) = (memory.0.as_ptr(), memory.0.len());
    }
}

impl Request {
    /// Writes the buffer, as write(2) does. The result is the number of bytes, perhaps fewer than there are; the event says how many.
    ///
    /// To a pipe, a FIFO, a socket, a terminal, an eventfd, and whatever else can be polled: as soon as something goes in, and as much as
    /// goes in without waiting. Its blocking mode does not matter, and stays as it is. Up to `PIPE_BUF` bytes (4,096) to a pipe go in as
    /// a whole; what is longer may have other writers' bytes between its pieces, one for each request. A pipe or a socket that
    /// nobody reads any more fails with `EPIPE`; no `SIGPIPE` is raised. (A Rust program ignores that signal, unless it asks for it.)
    ///
    /// To a file: at its cursor, which moves behind what was written, or at its end if it was opened with `O_APPEND`. A helper thread
    /// ([`work`](Self::work)) writes, in one call: once, also if the thread that submitted it exits. Writes that are on their way together
    /// go to places of their own, in no order that is told. What is said of short writes and of `SIGXFSZ` at
    /// [`write_at`](Self::write_at) holds here, too. One that has begun is complete before a cancel ends it.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::io::Read;
    /// let channel = EventChannel::new()?;
    /// let (mut reader, writer) = std::io::pipe()?;
    /// channel.post(Request::write(writer, b"hello".to_vec()))?;
    /// assert_eq!(channel.get_event()?.result()?, 5);
    /// let mut word = [0; 5];
    /// reader.read_exact(&mut word)?;
    /// assert_eq!(&word, b"hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write(source: impl Into<Source>, buffer: Vec<u8>) -> Self {
        let operation = Write { fd: -1, buf: std::ptr::null(), len: 0, sort: Sort::Polled };
        Self::on_file(source, operation, Bytes(buffer))
    }
}
