//! A datagram sent to an address.

#![allow(unsafe_code)]

use super::addressed::{Address, Message};
use super::{EventKind, send};
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Carry, Class, Line, Readiness};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// sendmsg(2) with `MSG_NOSIGNAL`.
#[derive(Clone, Copy, Debug)]
pub struct SendMsg {
    /// The socket.
    pub fd: RawFd,
    /// As for sendmsg(2).
    pub msg: *const libc::msghdr,
    /// Further flags.
    pub flags: i32,
}

static SEND_TO_ANY: Class = Class::new();

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for SendMsg {}

impl SendMsg {
    /// Whether there is room in a socket of AF_UNIX depends on whom each message is for.
    fn is_to_unix(&self) -> bool {
        // SAFETY: who submits it keeps the message; a name that is given is a socket address.
        unsafe {
            let name = (*self.msg).msg_name.cast::<libc::sockaddr>();
            let has_family = (*self.msg).msg_namelen as usize >= size_of::<libc::sa_family_t>();
            !name.is_null()
                && has_family
                && i32::from((&raw const (*name).sa_family).read_unaligned()) == libc::AF_UNIX
        }
    }
}

// SAFETY: as sendmsg(2) does.
unsafe impl Carry for SendMsg {
    fn waits_for(&self) -> Option<Readiness> {
        let line = match self.is_to_unix() {
            true => Line { each: true, ..Line::new(&SEND_TO_ANY, self.flags) },
            false => send::line(self.flags),
        };
        Some(Readiness { fd: self.fd, interest: libc::POLLOUT, line })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        let flags = self.flags | libc::MSG_NOSIGNAL;
        Some(opcode::SendMsg::new(types::Fd(self.fd), self.msg).flags(flags as u32).build())
    }

    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        let flags = self.flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: by contract.
        sys::now(|| unsafe { libc::sendmsg(self.fd, self.msg, flags) })
    }
}

struct Held {
    socket: Source,
    buffer: Vec<u8>,
    message: Message,
    operation: SendMsg,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::SendTo as u8
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
    }

    fn point(&mut self) -> *const dyn Carry {
        let to_len = self.message.address.len;
        self.operation.msg = self.message.point(self.buffer.as_mut_ptr(), self.buffer.len(), to_len);
        &raw const self.operation
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
}

impl Request {
    /// Sends the buffer as a datagram. To an address of another family: [`send_msg_to`](Self::send_msg_to).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::net::UdpSocket;
    /// let channel = EventChannel::new()?;
    /// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// channel.post(Request::send_to(near, b"hello".to_vec(), far.local_addr()?))?;
    /// assert_eq!(channel.get_event()?.result()?, 5);
    /// # assert_eq!(far.recv(&mut [0; 8])?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_to(socket: impl Into<Source>, buffer: Vec<u8>, to: SocketAddr) -> Self {
        Self::of(Held {
            socket: socket.into(),
            buffer,
            message: Message::with(Address::of(to)),
            operation: SendMsg { fd: -1, msg: std::ptr::null(), flags: 0 },
        })
    }
}
