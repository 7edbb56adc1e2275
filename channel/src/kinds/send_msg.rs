//! A message sent, with what goes with it.

#![allow(unsafe_code)]

use super::EventKind;
use super::addressed::{Address, Message};
use super::ancillary::{Ancillary, Control};
use super::send_to::SendMsg;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::Carry;
use socket2::SockAddr;
use std::net::SocketAddr;
use std::os::fd::RawFd;

struct Held {
    socket: Source,
    buffer: Vec<u8>,
    message: Message,
    ancillary: Ancillary,
    control: Control,
    operation: SendMsg,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::SendMsg as u8
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
        self.control = Control::of(&self.ancillary);
    }

    fn point(&mut self) -> *const dyn Carry {
        let to_len = self.message.address.len;
        self.operation.msg = self.message.point(self.buffer.as_mut_ptr(), self.buffer.len(), to_len);
        self.message.header.point_to_control(&mut self.control);
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
    /// Sends from the buffer, as [`send`](Self::send), with descriptors and credentials: through a socket of `AF_UNIX` (what else there is
    /// takes no notice of them). They go with the first byte that is sent; of a stream nothing is sent, nor they, if the buffer is empty.
    /// The event keeps the descriptors as the request did. See [`recv_msg`](Self::recv_msg).
    pub fn send_msg(socket: impl Into<Source>, buffer: Vec<u8>, ancillary: Ancillary) -> Self {
        Self::message(socket.into(), buffer, ancillary, Address::none())
    }

    /// As [`send_msg`](Self::send_msg), to an address of whatever family.
    ///
    /// ```
    /// # use ec_channel::{Ancillary, EventChannel, Request};
    /// # use std::os::unix::net::UnixDatagram;
    /// let channel = EventChannel::new()?;
    /// let path = std::env::temp_dir().join(format!("ec-channel-{}", std::process::id()));
    /// let _there = UnixDatagram::bind(&path)?;
    /// let to = ec_channel::socket2::SockAddr::unix(&path)?;
    /// channel.post(Request::send_msg_to(UnixDatagram::unbound()?, b"hello".to_vec(), Ancillary::new(), to))?;
    /// # let sent = channel.get_event()?.result();
    /// # std::fs::remove_file(&path)?;
    /// # assert_eq!(sent?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_msg_to(
        socket: impl Into<Source>,
        buffer: Vec<u8>,
        ancillary: Ancillary,
        to: SockAddr,
    ) -> Self {
        Self::message(socket.into(), buffer, ancillary, Address::of_any(to))
    }

    fn message(socket: Source, buffer: Vec<u8>, ancillary: Ancillary, to: Address) -> Self {
        Self::of(Held {
            socket,
            buffer,
            message: Message::with(to),
            ancillary,
            control: Control::default(),
            operation: SendMsg { fd: -1, msg: std::ptr::null(), flags: 0 },
        })
    }
}
