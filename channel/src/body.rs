//! The body of a request. It travels in one box from post to get and back.
//!
//! The kernel works on the body's own fields. Nobody else can reach them while the body is in flight.

#![allow(unsafe_code)]

use crate::event::{Event, EventKind, Interest};
use crate::foreign;
use crate::raw::{Action, RawOp};
use crate::source::Source;
use crate::{EventChannel, EventId};
use std::any::Any;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) type Handler = Arc<dyn Fn(&EventChannel, Event) + Send + Sync>;

#[derive(Clone, Copy)]
pub(crate) enum When {
    Never,
    After(Duration),
    At(Instant),
}

/// The operation comes first: the port finds the body by the operation's address.
#[repr(C)]
pub(crate) struct EventBody {
    pub(crate) op: RawOp,
    pub(crate) kind: EventKind,
    pub(crate) source: Option<Source>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) interest: Interest,
    pub(crate) address: socket2::SockAddrStorage,
    pub(crate) address_len: libc::socklen_t,
    pub(crate) part: libc::iovec,
    pub(crate) message: libc::msghdr,
    pub(crate) accepted: Option<OwnedFd>,
    pub(crate) when: When,
    pub(crate) id: EventId,
    pub(crate) token: u64,
    pub(crate) context: Option<Box<dyn Any + Send>>,
    pub(crate) handler: Option<Handler>,
    pub(crate) wake_all: bool,
}

// SAFETY: the raw pointers in op, part and message point into the body itself, which is boxed, and are set
// anew at each post; every other field is Send (Source and Handler by their bounds).
unsafe impl Send for EventBody {}

impl EventBody {
    /// Is it for a handler, and not for whoever gets it?
    pub(crate) fn has_handler(&self) -> bool {
        self.handler.is_some()
    }

    pub(crate) fn new(kind: EventKind, source: Option<Source>, buffer: Vec<u8>) -> Box<Self> {
        // SAFETY: for these C structures all zeroes is a value.
        let (part, message) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let mut op = RawOp::new(Action::Timer, |_| (), 0);
        op.is_event = true;
        Box::new(Self {
            op,
            kind,
            source,
            buffer,
            interest: Interest(0),
            address: socket2::SockAddrStorage::zeroed(),
            address_len: 0,
            part,
            message,
            accepted: None,
            when: When::Never,
            id: EventId::none(0),
            token: 0,
            context: None,
            handler: None,
            wake_all: false,
        })
    }

    /// Drops it, nobody having got it. What the program has put into it goes piece by piece, so that each may panic.
    pub(crate) fn discard(mut self: Box<Self>) {
        let (context, handler, source) = (self.context.take(), self.handler.take(), self.source.take());
        foreign::call(move || drop(context));
        foreign::call(move || drop(handler));
        foreign::call(move || drop(source));
    }

    pub(crate) fn set_address(&mut self, to: SocketAddr) {
        let it = socket2::SockAddr::from(to);
        self.address_len = it.len();
        self.address = it.as_storage();
    }

    /// Points the operation at the body's own fields. The body must not move from here on: it is boxed.
    pub(crate) fn prepare(&mut self, now: Instant) {
        let fd = self.source.as_ref().map_or(-1, Source::raw);
        let addr = (&raw mut self.address).cast::<libc::sockaddr_storage>();
        let len = &raw mut self.address_len;
        self.accepted = None;
        if matches!(self.kind, EventKind::Recv | EventKind::RecvFrom) {
            self.buffer.clear();
        }
        self.op.action = match self.kind {
            EventKind::Accept => {
                self.address_len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
                Action::Accept { fd, addr, len }
            }
            EventKind::Connect => Action::Connect { fd, addr, len: self.address_len },
            EventKind::Recv => {
                Action::Recv { fd, buf: self.buffer.as_mut_ptr(), len: self.buffer.capacity(), flags: 0 }
            }
            EventKind::Send => {
                Action::Send { fd, buf: self.buffer.as_ptr(), len: self.buffer.len(), flags: 0 }
            }
            EventKind::RecvFrom | EventKind::SendTo => {
                let receives = self.kind == EventKind::RecvFrom;
                if receives {
                    self.address_len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
                }
                self.part = libc::iovec {
                    iov_base: self.buffer.as_mut_ptr().cast(),
                    iov_len: if receives { self.buffer.capacity() } else { self.buffer.len() },
                };
                self.message.msg_name = addr.cast();
                self.message.msg_namelen = self.address_len;
                self.message.msg_iov = &raw mut self.part;
                self.message.msg_iovlen = 1;
                self.message.msg_flags = 0;
                if receives {
                    Action::RecvMsg { fd, msg: &raw mut self.message, flags: 0 }
                } else {
                    Action::SendMsg { fd, msg: &raw const self.message, flags: 0 }
                }
            }
            EventKind::Readiness => Action::Poll { fd, events: self.interest.0 },
            EventKind::Timer | EventKind::Notification => Action::Timer,
        };
        self.op.deadline = match self.when {
            _ if self.kind == EventKind::Notification => None,
            When::Never => None,
            // What lies beyond the clock never comes; the wheel's horizon is nearer anyway.
            When::After(d) => now.checked_add(d).or_else(|| now.checked_add(Duration::from_secs(1 << 40))),
            When::At(t) => Some(t),
        };
    }

    /// Takes over what the kernel left in the fields.
    pub(crate) fn finish(&mut self) {
        let n = self.op.result;
        match self.kind {
            EventKind::Accept if n >= 0 => {
                // SAFETY: accept has just made this descriptor, for this event alone.
                self.accepted = Some(unsafe { OwnedFd::from_raw_fd(n) });
                self.op.result = 0;
            }
            EventKind::Recv | EventKind::RecvFrom if n >= 0 => {
                let n = (n as usize).min(self.buffer.capacity());
                // SAFETY: the kernel has written the first n bytes of the capacity.
                unsafe { self.buffer.set_len(n) };
                if self.kind == EventKind::RecvFrom {
                    self.address_len = self.message.msg_namelen;
                }
            }
            // The address of an earlier use is not that of this one.
            EventKind::Accept | EventKind::RecvFrom => self.address_len = 0,
            _ => {}
        }
    }
}
