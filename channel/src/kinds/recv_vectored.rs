//! Bytes received into several buffers.

use super::EventKind;
use super::memory::AllRoom;
use super::on_socket::OnSocket;
use super::parts::Parts;
use super::recv_from::RecvMsg;
use crate::events::request::Request;
use crate::events::source::Source;
use std::os::fd::RawFd;

impl OnSocket<AllRoom> for RecvMsg {
    const KIND: EventKind = EventKind::RecvVectored;

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd) {
        self.fd = fd;
    }

    fn point(&mut self, memory: &mut AllRoom) {
        self.msg = memory.0.point_to_room();
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
        Self::on_socket(socket, operation, AllRoom(Parts::of(buffers)))
    }
}
