//! The memory that operations transfer to and from.

#![allow(unsafe_code)]

use super::parts::Parts;

/// The program's buffers, if there are any.
pub(super) trait Memory: Send + 'static {
    /// Before each post.
    fn clear(&mut self) {}

    /// # Safety
    /// The operation has transferred so many bytes; or it has failed.
    unsafe fn finish(&mut self, _result: i32) {}

    fn buffer(&self) -> Option<&Vec<u8>> {
        None
    }

    fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        None
    }

    fn buffers(&self) -> Option<&Vec<Vec<u8>>> {
        None
    }

    fn buffers_mut(&mut self) -> Option<&mut Vec<Vec<u8>>> {
        None
    }

    /// What the kernel has told of the message in it.
    fn message_flags(&self) -> i32 {
        0
    }
}

impl Memory for () {}

/// A buffer that bytes are written from.
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Memory for Bytes {
    fn buffer(&self) -> Option<&Vec<u8>> {
        Some(&self.0)
    }

    fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
}

/// A buffer that bytes are read into.
pub(super) struct Room(pub(super) Vec<u8>);

impl Memory for Room {
    fn clear(&mut self) {
        self.0.clear();
    }

    unsafe fn finish(&mut self, result: i32) {
        // SAFETY: by contract.
        unsafe { super::received(&mut self.0, result) };
    }

    fn buffer(&self) -> Option<&Vec<u8>> {
        Some(&self.0)
    }

    fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
}

/// Several that are written from.
pub(super) struct AllBytes(pub(super) Parts);

impl Memory for AllBytes {
    fn buffers(&self) -> Option<&Vec<Vec<u8>>> {
        Some(&self.0.buffers)
    }

    fn buffers_mut(&mut self) -> Option<&mut Vec<Vec<u8>>> {
        Some(&mut self.0.buffers)
    }
}

/// Several that are read into.
pub(super) struct AllRoom(pub(super) Parts);

impl Memory for AllRoom {
    fn clear(&mut self) {
        self.0.buffers.iter_mut().for_each(Vec::clear);
    }

    unsafe fn finish(&mut self, result: i32) {
        // SAFETY: by contract.
        unsafe { self.0.received(result) };
    }

    fn buffers(&self) -> Option<&Vec<Vec<u8>>> {
        Some(&self.0.buffers)
    }

    fn buffers_mut(&mut self) -> Option<&mut Vec<Vec<u8>>> {
        Some(&mut self.0.buffers)
    }

    fn message_flags(&self) -> i32 {
        self.0.header.flags()
    }
}
