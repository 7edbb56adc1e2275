//! What requests on one socket hold that transfer the program's bytes: that, the operation, and the buffers that it points to.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::Memory;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::Carry;
use std::os::fd::RawFd;

/// An operation on a socket that points to `M`, as such a request wants it.
pub(super) trait OnSocket<M: Memory>: Carry + Sized {
    const KIND: EventKind;

    /// Its descriptor, once it was prepared.
    fn fd(&self) -> RawFd;

    /// Before each post: it is on this socket.
    fn prepare(&mut self, fd: RawFd);

    /// Points it at the memory, which stays where it is.
    fn point(&mut self, memory: &mut M);
}

struct Held<T, M> {
    socket: Source,
    memory: M,
    operation: T,
}

impl<T: OnSocket<M>, M: Memory> Kept for Held<T, M> {
    fn kind(&self) -> u8 {
        T::KIND as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("socket")
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.socket)
    }

    fn descriptor(&self) -> RawFd {
        self.operation.fd()
    }

    fn prepare(&mut self) {
        self.operation.prepare(self.socket.raw());
        self.memory.clear();
    }

    fn point(&mut self) -> *const dyn Carry {
        self.operation.point(&mut self.memory);
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        // SAFETY: it is what came of the operation, which this memory was for.
        unsafe { self.memory.finish(result) };
        result
    }

    fn buffer(&self) -> Option<&Vec<u8>> {
        self.memory.buffer()
    }

    fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        self.memory.buffer_mut()
    }

    fn buffers(&self) -> Option<&Vec<Vec<u8>>> {
        self.memory.buffers()
    }

    fn buffers_mut(&mut self) -> Option<&mut Vec<Vec<u8>>> {
        self.memory.buffers_mut()
    }

    fn message_flags(&self) -> i32 {
        self.memory.message_flags()
    }
}

impl Request {
    pub(super) fn on_socket<M: Memory>(
        socket: impl Into<Source>,
        operation: impl OnSocket<M>,
        memory: M,
    ) -> Self {
        Self::of(Held { socket: socket.into(), memory, operation })
    }
}
