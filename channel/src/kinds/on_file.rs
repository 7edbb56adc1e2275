//! What requests on one descriptor hold: that, the operation, and the memory that the operation points to.

#![allow(unsafe_code)]

use super::EventKind;
use super::memory::Memory;
use super::positioned::Position;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::Carry;
use std::os::fd::RawFd;

/// An operation on a descriptor that points to `M`, as such a request wants it.
pub(super) trait OnFile<M: Memory>: Carry + Sized {
    fn kind(&self) -> EventKind;

    /// What its descriptor is to it.
    const ROLE: &str = "file";

    /// Its descriptor, once it was prepared.
    fn fd(&self) -> RawFd;

    /// Before each post: it is on this descriptor. It may have to be refused.
    fn prepare(&mut self, fd: RawFd, may: &mut Position);

    /// Points it at the memory, which stays where it is.
    fn point(&mut self, _memory: &mut M) {}

    fn offset_mut(&mut self) -> Option<&mut u64> {
        None
    }
}

pub(super) struct Held<T, M> {
    file: Source,
    pub(super) memory: M,
    operation: T,
    may: Position,
}

impl<T: OnFile<M>, M: Memory> Kept for Held<T, M> {
    fn kind(&self) -> u8 {
        self.operation.kind() as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some(T::ROLE)
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.file)
    }

    fn descriptor(&self) -> RawFd {
        self.operation.fd()
    }

    fn prepare(&mut self) {
        self.operation.prepare(self.file.raw(), &mut self.may);
        self.memory.clear();
    }

    fn point(&mut self) -> *const dyn Carry {
        self.operation.point(&mut self.memory);
        self.may.or_refused(&raw const self.operation)
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

    fn offset_mut(&mut self) -> Option<&mut u64> {
        self.operation.offset_mut()
    }
}

impl Request {
    pub(super) fn on_file<M: Memory>(file: impl Into<Source>, operation: impl OnFile<M>, memory: M) -> Self {
        Self::of(Held { file: file.into(), memory, operation, may: Position::default() })
    }
}
