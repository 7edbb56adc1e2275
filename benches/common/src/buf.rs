//! A buffer that suits runtimes that borrow it and runtimes that take it over.

/// The first `filled` of `bytes` are data. A runtime that takes the vector over gives it back with this length; one
/// that borrows leaves the length alone.
pub struct Buf {
    pub bytes: Vec<u8>,
    pub filled: usize,
}

impl Buf {
    pub fn new(size: usize) -> Buf {
        Buf { bytes: vec![0; size], filled: 0 }
    }

    /// What was read.
    pub fn data(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// The vector, for a runtime that takes it over: in `done` it comes back.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// After a read into a vector that was taken.
    pub fn done<E>(&mut self, bytes: Vec<u8>, result: Result<usize, E>) {
        (self.bytes, self.filled) = (bytes, result.unwrap_or(0));
    }
}
