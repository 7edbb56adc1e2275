//! Bytes sent from several buffers.

use super::EventKind;
use super::memory::AllBytes;
use super::on_socket::OnSocket;
use super::parts::Parts;
use super::send_to::SendMsg;
use crate::events::request::Request;
use crate::events::source::Source;
use std::os::fd::RawFd;

impl OnSocket<AllBytes> for SendMsg {
    const KIND: EventKind = EventKind::SendVectored;

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd) {
        self.fd = fd;
    }

    fn point(&mut self, memory: &mut AllBytes) {
        self.msg = memory.0.point_to_bytes();
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
        Self::on_socket(socket, operation, AllBytes(Parts::of(buffers)))
    }
}
