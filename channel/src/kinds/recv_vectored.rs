//! Bytes received into several buffers.

#![allow(unsafe_code)]

use super::EventKind;
use super::parts::Parts;
use super::recv_from::RecvMsg;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::Carry;

struct Held {
    socket: Source,
    parts: Parts,
    operation: RecvMsg,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::RecvVectored as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("socket")
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.socket)
    }

    fn prepare(&mut self) {
        self.operation.fd = self.socket.raw();
        self.parts.buffers.iter_mut().for_each(Vec::clear);
    }

    fn point(&mut self) -> *const dyn Carry {
        self.operation.msg = self.parts.point_to_room();
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        // SAFETY: the kernel has filled so many bytes of them, in their order.
        unsafe { self.parts.received(result) };
        result
    }

    fn buffers(&self) -> Option<&Vec<Vec<u8>>> {
        Some(&self.parts.buffers)
    }

    fn buffers_mut(&mut self) -> Option<&mut Vec<Vec<u8>>> {
        Some(&mut self.parts.buffers)
    }

    fn message_flags(&self) -> i32 {
        self.parts.header.flags()
    }
}

impl Request {
    /// As [`recv`](Self::recv), into several buffers: the first one is filled up to its capacity, then the next. What they held is replaced;
    /// those that nothing was left for are empty. See [`Event::buffers`](crate::Event::buffers). Of a datagram, what is longer than all of them is lost
    /// ([`Event::is_truncated`](crate::Event::is_truncated)).
    ///
    /// Those of no capacity are passed over. More than 1,024 others are refused (`EMSGSIZE`). If there are none, it is as with a
    /// buffer of no capacity.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::Write, os::unix::net::UnixStream};
    /// let channel = EventChannel::new()?;
    /// let (near, mut far) = UnixStream::pair()?;
    /// far.write_all(b"headbody")?;
    /// let (head, body) = (Vec::with_capacity(4), Vec::with_capacity(4096));
    /// channel.post(Request::recv_vectored(near, vec![head, body]))?;
    /// let event = channel.get_event()?;
    /// assert_eq!(event.result()?, 8);
    /// assert_eq!(event.buffers(), [b"head", b"body"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_vectored(socket: impl Into<Source>, buffers: Vec<Vec<u8>>) -> Self {
        let operation = RecvMsg { fd: -1, msg: std::ptr::null_mut(), flags: 0 };
        Self::of(Held { socket: socket.into(), parts: Parts::of(buffers), operation })
    }
}
