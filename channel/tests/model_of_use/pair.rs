//! A stream in the model: what its peer has written, and what of it was received; what was sent.

use super::play::Checked;
use proptest::{prop_assert, prop_assert_eq};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// After so many that nobody has received, a send may have to wait.
const ROOM: usize = 16;

/// A stream.
pub struct Pair {
    pub near: Arc<UnixStream>,
    /// `None`: it is closed.
    pub far: Option<UnixStream>,
    /// So many bytes were written by the peer: each is its own number.
    pub fed: usize,
    pub received: [bool; 256],
    /// Requests to send that were posted since it was drained. (More than there is room for: it was full from the beginning.)
    pub sends: usize,
    /// Bytes sent, as the events have it, and as the peer has received them.
    pub sent: usize,
    pub drained: usize,
}

impl Pair {
    pub fn new(full: bool) -> Self {
        let (near, far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let mut sent = 0;
        if full {
            near.set_nonblocking(true).unwrap();
            while let Ok(n) = (&near).write(&[0; 4096]) {
                sent += n;
            }
            near.set_nonblocking(false).unwrap();
        }
        let sends = if full { ROOM + 1 } else { 0 };
        Pair { near: Arc::new(near), far: Some(far), fed: 0, received: [false; 256], sends, sent, drained: 0 }
    }

    pub fn unreceived(&self) -> bool {
        self.received[..self.fed].iter().any(|received| !received)
    }

    pub fn is_closed(&self) -> bool {
        self.far.is_none()
    }

    pub fn takes(&self) -> bool {
        self.sends <= ROOM || self.is_closed()
    }

    /// These bytes were received: one after the other, written, and for the first time.
    pub fn receive(&mut self, bytes: &[u8]) -> Checked {
        for (at, &byte) in bytes.iter().enumerate() {
            prop_assert_eq!(usize::from(byte), usize::from(bytes[0]) + at, "what was received has a gap");
            prop_assert!(usize::from(byte) < self.fed, "what was received was never sent");
            prop_assert!(!std::mem::replace(&mut self.received[usize::from(byte)], true), "received twice");
        }
        Ok(())
    }

    pub fn drain(&mut self) {
        let Some(far) = &mut self.far else { return };
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = far.read(&mut chunk) {
            self.drained += n;
        }
        self.sends = 0;
    }
}
