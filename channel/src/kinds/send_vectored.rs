//! Bytes sent from several buffers.

#![allow(unsafe_code)]

use super::EventKind;
use super::parts::Parts;
use super::send_to::SendMsg;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::Carry;

struct Held {
    socket: Source,
    parts: Parts,
    operation: SendMsg,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::SendVectored as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("socket")
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.socket)
    }

    fn prepare(&mut self) {
        self.operation.fd = self.socket.raw();
    }

    fn point(&mut self) -> *const dyn Carry {
        self.operation.msg = self.parts.point_to_bytes();
        &raw const self.operation
    }

    fn buffers(&self) -> Option<&Vec<Vec<u8>>> {
        Some(&self.parts.buffers)
    }

    fn buffers_mut(&mut self) -> Option<&mut Vec<Vec<u8>>> {
        Some(&mut self.parts.buffers)
    }
}

impl Request {
    /// As [`send`](Self::send), from several buffers, one after the other. To a socket of datagrams they are one datagram. The result is
    /// the number of bytes, perhaps fewer than there are; the buffers come back as they were ([`Event::buffers`](crate::Event::buffers)).
    ///
    /// Empty ones are passed over. More than 1,024 others are refused (`EMSGSIZE`).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::Read, os::unix::net::UnixStream};
    /// let channel = EventChannel::new()?;
    /// let (near, mut far) = UnixStream::pair()?;
    /// channel.post(Request::send_vectored(near, vec![b"head".to_vec(), b"body".to_vec()]))?;
    /// assert_eq!(channel.get_event()?.result()?, 8);
    /// let mut all = [0; 8];
    /// far.read_exact(&mut all)?;
    /// assert_eq!(&all, b"headbody");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_vectored(socket: impl Into<Source>, buffers: Vec<Vec<u8>>) -> Self {
        let operation = SendMsg { fd: -1, msg: std::ptr::null(), flags: 0 };
        Self::of(Held { socket: socket.into(), parts: Parts::of(buffers), operation })
    }
}
