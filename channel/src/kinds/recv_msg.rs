//! A message received, with what goes with it.

#![allow(unsafe_code)]

use super::EventKind;
use super::addressed::{Address, Message, ROOM};
use super::ancillary::{Control, Credentials, Received};
use super::recv_from::RecvMsg;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::Carry;
use socket2::SockAddr;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};

struct Held {
    socket: Source,
    buffer: Vec<u8>,
    message: Message,
    control: Control,
    received: Received,
    operation: RecvMsg,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::RecvMsg as u8
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
        self.received = Received::default();
    }

    fn point(&mut self) -> *const dyn Carry {
        self.operation.msg = self.message.point(self.buffer.as_mut_ptr(), self.buffer.capacity(), ROOM);
        self.message.header.point_to_control(&mut self.control);
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        // SAFETY: that many bytes of the capacity have been written.
        unsafe { super::received(&mut self.buffer, result) };
        self.message.address.len = 0;
        if result >= 0 {
            let header = &self.message.header;
            self.message.address.len = header.address_len();
            // SAFETY: a message has come, and this event alone has it.
            self.received = unsafe { self.control.take(header.control_len(), header.flags()) };
        }
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
    /// Receives at most `buffer.capacity()` bytes, with what goes with them: at most so many descriptors
    /// ([`Event::take_descriptors`]), the sender's credentials if the socket is asked for them ([`Event::credentials`], `SO_PASSCRED`),
    /// and his address ([`Event::address`], [`Event::sender`]). From a stream it receives no further than what has descriptors with it.
    ///
    /// The kernel has made those descriptors for this process: those that nobody takes are closed with the event, also if it is never
    /// fetched, and those beyond the room at once ([`Event::is_ancillary_truncated`]). 253 come at the most. Nothing else that may go with a
    /// message is told here: a pidfd of the sender's (`SO_PASSPIDFD`) is closed. What else a socket is asked to tell takes none of the
    /// room, be it a time, or a label (`SO_PASSSEC`) of up to 255 bytes.
    ///
    /// ```
    /// # use ec_channel::{Ancillary, EventChannel, EventKind, Request};
    /// # use std::{fs::File, io::{Read, Write}, os::unix::net::UnixStream};
    /// let channel = EventChannel::new()?;
    /// let (near, far) = UnixStream::pair()?;
    /// let (mut reader, writer) = std::io::pipe()?;
    /// channel.post(Request::recv_msg(near, Vec::with_capacity(64), 1))?;
    /// channel.post(Request::send_msg(far, b"for you".to_vec(), Ancillary::new().descriptor(writer)))?;
    /// for _ in 0..2 {
    ///     let mut event = channel.get_event()?;
    ///     if event.kind() == EventKind::RecvMsg {
    ///         assert_eq!(event.buffer(), b"for you");
    ///         let [descriptor] = event.take_descriptors().try_into().unwrap();
    ///         File::from(descriptor).write_all(b"thanks")?;
    ///     }
    /// }
    /// let mut said = String::new();
    /// reader.read_to_string(&mut said)?;
    /// assert_eq!(said, "thanks");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_msg(socket: impl Into<Source>, buffer: Vec<u8>, descriptors: usize) -> Self {
        Self::of(Held {
            socket: socket.into(),
            buffer,
            message: Message::with(Address::none()),
            control: Control::room(descriptors),
            received: Received::default(),
            operation: RecvMsg { fd: -1, msg: std::ptr::null_mut(), flags: libc::MSG_CMSG_CLOEXEC },
        })
    }
}

impl Event {
    /// The descriptors that came with a message ([`Request::recv_msg`]), once, in their order. They are not handed on to programs that are
    /// run. None where the kind has none.
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        let held = self.0.of_kind_mut::<Held>();
        held.map(|held| std::mem::take(&mut held.received.descriptors)).unwrap_or_default()
    }

    /// Who has sent a message ([`Request::recv_msg`]), if the socket was asked to tell.
    pub fn credentials(&self) -> Option<Credentials> {
        self.0.of_kind::<Held>()?.received.credentials
    }

    /// Whether more went with a message ([`Request::recv_msg`]) than there was room for, or the process could have no more descriptors:
    /// what is missing is lost.
    pub fn is_ancillary_truncated(&self) -> bool {
        self.0.of_kind::<Held>().is_some_and(|held| held.received.is_truncated)
    }

    /// The address that a message came from ([`Request::recv_msg`]), of whatever family. A socket of `AF_UNIX` may have none.
    pub fn sender(&self) -> Option<SockAddr> {
        self.0.of_kind::<Held>()?.message.address.get_any()
    }
}
