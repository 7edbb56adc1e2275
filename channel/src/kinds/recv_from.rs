//! A datagram received, with its sender.

#![allow(unsafe_code)]

use super::addressed::{Address, Message, ROOM};
use super::{EventKind, recv};
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{AtExit, Carry, Readiness};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// recvmsg(2).
#[derive(Clone, Copy, Debug)]
pub struct RecvMsg {
    /// The socket.
    pub fd: RawFd,
    /// As for recvmsg(2).
    pub msg: *mut libc::msghdr,
    /// As for recvmsg(2).
    pub flags: i32,
}

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for RecvMsg {}

// SAFETY: as recvmsg(2) does.
unsafe impl Carry for RecvMsg {
    fn waits_for(&self) -> Option<Readiness> {
        Some(Readiness {
            fd: self.fd,
            interest: recv::INPUT,
            line: recv::line(self.flags & !libc::MSG_CMSG_CLOEXEC),
        })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        Some(opcode::RecvMsg::new(types::Fd(self.fd), self.msg).flags(self.flags as u32).build())
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        // SAFETY: by contract.
        let call = || unsafe { libc::recvmsg(self.fd, self.msg, self.flags | libc::MSG_DONTWAIT) };
        // SAFETY: by contract.
        sys::now(call).or_else(|| unsafe { self.end_of_input(revents) })
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.attempt(0) }
    }

    unsafe fn end_of_input(&self, revents: i16) -> Option<i32> {
        if revents & libc::POLLRDHUP == 0 {
            return None;
        }
        // SAFETY: by contract.
        let msg = unsafe { &mut *self.msg };
        (msg.msg_namelen, msg.msg_controllen, msg.msg_flags) = (0, 0, 0);
        Some(0)
    }

    fn at_exit(&self) -> AtExit {
        AtExit::IfKept(self.fd)
    }
}

struct Held {
    socket: Source,
    buffer: Vec<u8>,
    message: Message,
    operation: RecvMsg,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::RecvFrom as u8
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
        self.buffer.clear();
    }

    fn point(&mut self) -> *const dyn Carry {
        self.operation.msg = self.message.point(self.buffer.as_mut_ptr(), self.buffer.capacity(), ROOM);
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        // SAFETY: that many bytes of the capacity have been written.
        unsafe { super::received(&mut self.buffer, result) };
        // (The address of an earlier use is not that of this one.)
        self.message.address.len = if result < 0 { 0 } else { self.message.header.address_len() };
        result
    }

    fn buffer(&self) -> Option<&Vec<u8>> {
        Some(&self.buffer)
    }

    fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.buffer)
    }

    fn address(&self) -> Option<SocketAddr> {
        self.message.address.get()
    }

    fn message_flags(&self) -> i32 {
        self.message.header.flags()
    }
}

impl Request {
    /// Receives a datagram of at most `buffer.capacity()` bytes; see [`Event::address`](crate::Event::address). The rest of a longer one is lost
    /// ([`Event::is_truncated`](crate::Event::is_truncated)), and with a buffer of no capacity all of it.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::net::UdpSocket;
    /// let channel = EventChannel::new()?;
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// # let client = UdpSocket::bind("127.0.0.1:0")?;
    /// # client.send_to(b"hello", socket.local_addr()?)?;
    /// channel.post(Request::recv_from(socket, Vec::with_capacity(1500)))?;
    /// let mut event = channel.get_event()?;
    /// event.result()?;
    /// let (socket, sender) = (event.source().unwrap().clone(), event.address().unwrap());
    /// channel.post(Request::send_to(socket, event.take_buffer(), sender))?; // back to him
    /// # channel.get_event()?.result()?;
    /// # let mut answer = [0; 8];
    /// # assert_eq!(client.recv(&mut answer)?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_from(socket: impl Into<Source>, buffer: Vec<u8>) -> Self {
        Self::of(Held {
            socket: socket.into(),
            buffer,
            message: Message::with(Address::none()),
            operation: RecvMsg { fd: -1, msg: std::ptr::null_mut(), flags: 0 },
        })
    }
}
