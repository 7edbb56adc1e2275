//! Bytes received into a buffer that is taken when there are some.

#![allow(unsafe_code)]

use super::pooled::{BufferPool, PooledBuffer};
use super::{EventKind, recv};
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{AtExit, Carry, GoOn, Readiness, Supply, Verdict, is_interrupted};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::cell::Cell;
use std::os::fd::RawFd;

/// recv(2), into a buffer that is taken when there is something. The result is the number of bytes, 0 at the end of the stream.
pub struct RecvPooled {
    fd: RawFd,
    flags: i32,
    pool: BufferPool,
    /// What was received.
    buffer: Cell<Option<PooledBuffer>>,
    /// The call was made. (Else there is something now.)
    received: Cell<bool>,
    /// What it has said of the message.
    message_flags: Cell<i32>,
}

/// There is something, and no buffer. (No errno is so large.)
const LACKS: i32 = -(1 << 20);

impl RecvPooled {
    /// From a socket; `flags` are `MSG_PEEK` and the like.
    pub fn new(fd: RawFd, flags: i32, pool: &BufferPool) -> Self {
        let (buffer, received, message_flags) = (Cell::new(None), Cell::new(false), Cell::new(0));
        RecvPooled { fd, flags, pool: pool.clone(), buffer, received, message_flags }
    }

    /// What was received, once the operation is complete. None at the end of the stream.
    pub fn take_buffer(&mut self) -> Option<PooledBuffer> {
        self.buffer.take()
    }

    /// Is there something, or the end, or an error? `None`: nothing yet.
    fn look(&self) -> Option<i32> {
        let flags = self.flags | libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: no bytes at all are written.
        sys::now(|| unsafe { libc::recv(self.fd, std::ptr::null_mut(), 0, flags) })
    }

    /// Receives what has come, if there is a buffer for it.
    fn receive(&self) -> Option<i32> {
        let Some(mut taken) = self.pool.take() else { return Some(LACKS) };
        let (iov_len, flags) = (taken.buffer.capacity(), self.flags | libc::MSG_DONTWAIT);
        let mut part = libc::iovec { iov_base: taken.buffer.as_mut_ptr().cast(), iov_len };
        // SAFETY: all zero is a valid value of this plain structure.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        // (Unlike recv(2) it says whether a datagram was longer.)
        // SAFETY: the buffer has so much room.
        let result = sys::now(|| unsafe { libc::recvmsg(self.fd, &raw mut message, flags) })?;
        self.received.set(true);
        self.message_flags.set(message.msg_flags);
        if result > 0 {
            // SAFETY: that many bytes of the capacity have been written.
            unsafe { super::received(&mut taken.buffer, result) };
            self.buffer.set(Some(taken));
        }
        Some(result)
    }
}

// SAFETY: it writes to buffers that it has taken itself.
unsafe impl Carry for RecvPooled {
    fn waits_for(&self) -> Option<Readiness> {
        Some(Readiness { fd: self.fd, interest: recv::INPUT, line: recv::line(self.flags) })
    }

    /// Until there is something, which stays there.
    fn entry(&self) -> Option<squeue::Entry> {
        let flags = self.flags | libc::MSG_PEEK;
        Some(opcode::Recv::new(types::Fd(self.fd), std::ptr::null_mut(), 0).flags(flags).build())
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        // (After poll(2) has said so it need not be looked at.)
        let there = if revents == 0 { self.look() } else { Some(0) };
        let result = match there {
            Some(0..) => self.receive(),
            nothing_or_error => nothing_or_error,
        };
        // SAFETY: by contract.
        result.or_else(|| unsafe { self.end_of_input(revents) })
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.attempt(0) }.filter(|result| *result != LACKS)
    }

    fn judge(&self, result: i32) -> Verdict {
        match -result {
            _ if result == LACKS => Verdict::Lacks,
            libc::EAGAIN => Verdict::Await,
            errno if is_interrupted(errno) => Verdict::Again,
            _ => Verdict::Final,
        }
    }

    fn judge_success(&self, _result: i32) -> Verdict {
        if self.received.get() { Verdict::Final } else { Verdict::Ready }
    }

    unsafe fn go_on(&self) -> GoOn {
        // (The end may be one that only who waits is told of.)
        let there = || sys::ready_now(self.fd, libc::POLLRDHUP).unwrap_or(0);
        // SAFETY: by contract.
        match self.receive().or_else(|| unsafe { self.end_of_input(there()) }) {
            Some(LACKS) => GoOn::Lacks,
            Some(result) => GoOn::Final(result),
            None => GoOn::NotYet,
        }
    }

    fn supply(&self) -> Option<&dyn Supply> {
        Some(&self.pool)
    }

    unsafe fn end_of_input(&self, revents: i16) -> Option<i32> {
        (revents & libc::POLLRDHUP != 0).then(|| {
            self.received.set(true);
            0
        })
    }

    fn at_exit(&self) -> AtExit {
        AtExit::IfKept(self.fd)
    }
}

struct Held {
    socket: Source,
    buffer: Option<PooledBuffer>,
    operation: RecvPooled,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::RecvPooled as u8
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
        self.operation.received.set(false);
        self.operation.message_flags.set(0);
        self.buffer = None;
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        self.buffer = self.operation.take_buffer();
        result
    }

    fn buffer(&self) -> Option<&Vec<u8>> {
        self.buffer.as_ref().map(|taken| &taken.buffer)
    }

    fn message_flags(&self) -> i32 {
        self.operation.message_flags.get()
    }
}

impl Request {
    /// As [`recv`](Self::recv), into a buffer of a pool, which is taken only when there is something to receive: it is in the event
    /// ([`Event::buffer`], [`Event::take_pooled`]), and goes back to the pool when that is dropped or posted [again](Event::again). At the
    /// end of the stream, and with an error, there is none. [`Event::is_truncated`] says whether a datagram was longer.
    ///
    /// If there is something, and the pool has no buffer, the request waits until one comes back. What there is stays in the socket
    /// meanwhile, and nobody looks at it. So whoever keeps all events of a pool, and waits for more, waits for ever.
    ///
    /// ```
    /// # use ec_channel::{BufferPool, EventChannel, Request};
    /// # use std::{io::Write, os::unix::net::UnixStream};
    /// let channel = EventChannel::new()?;
    /// let pool = BufferPool::new(8, 4096);
    /// let mut far = Vec::new();
    /// for n in 0..100 {
    ///     let (here, there) = UnixStream::pair()?;
    ///     channel.post(Request::recv_pooled(here, &pool).token(n))?;
    ///     far.push(there);
    /// }
    /// far[7].write_all(b"hello")?;
    /// let event = channel.get_event()?;
    /// assert_eq!((event.token(), event.buffer(), pool.available()), (7, &b"hello"[..], 7));
    /// channel.post(event.again())?;
    /// assert_eq!(pool.available(), 8);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_pooled(socket: impl Into<Source>, pool: &BufferPool) -> Self {
        Self::of(Held { socket: socket.into(), buffer: None, operation: RecvPooled::new(-1, 0, pool) })
    }
}

impl Event {
    /// What was received into a buffer of a pool ([`Request::recv_pooled`]), once: for those who let the event go, and keep that.
    pub fn take_pooled(&mut self) -> Option<PooledBuffer> {
        self.0.of_kind_mut::<Held>()?.buffer.take()
    }
}
