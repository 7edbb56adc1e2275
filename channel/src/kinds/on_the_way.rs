//! What a [pump](super::pump) has taken from the one end and not yet brought to the other.

#![allow(unsafe_code)]

use super::ends::{End, Sort, Tried};
use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

/// So much is on the way at the most: what a pipe holds, if nothing else is said.
const ROOM: usize = 1 << 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    From,
    To,
}

#[derive(Default)]
pub(super) enum How {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// From the one to the other, without anything between.
    Spliced,
    /// Through a pipe, which has so much.
    Piped(PipeReader, PipeWriter, usize),
    Buffered,
}

/// How far a pump is.
#[derive(Default)]
pub(super) struct State {
    pub(super) how: How,
    /// What was read, from `at` on still to be written.
    pub(super) buffer: Vec<u8>,
    pub(super) at: usize,
    /// So much has been written.
    pub(super) moved: u64,
    pub(super) ended: bool,
    pub(super) failed: Option<Side>,
    pub(super) relays_end: bool,
}

impl State {
    /// On which side something is to be done. `None`: nothing is left to do.
    pub(super) fn next(&self) -> Option<Side> {
        let in_pipe = if let How::Piped(_, _, held) = self.how { held } else { 0 };
        match self.at < self.buffer.len() || in_pipe > 0 {
            true => Some(Side::To),
            false => (!self.ended).then_some(Side::From),
        }
    }

    /// How it is done best.
    fn choose(&mut self, from: &End, to: &End) {
        self.how = match from.splices_without_waiting() && to.splices_without_waiting() {
            false => How::Buffered,
            true if from.sort == Sort::Pipe || to.sort == Sort::Pipe => How::Spliced,
            // (If there is no pipe to be had, there is the buffer.)
            true => std::io::pipe().map_or(How::Buffered, |(reader, writer)| How::Piped(reader, writer, 0)),
        };
    }

    pub(super) fn attempt(&mut self, side: Side, from: &End, to: &End) -> Tried {
        if let (How::Unknown, Side::From) = (&self.how, side) {
            self.choose(from, to);
        }
        let waits_for_nobody = match (&self.how, side) {
            (How::Spliced, Side::From) => from.splices_without_waiting() && to.splices_without_waiting(),
            (How::Piped(..), Side::From) => from.splices_without_waiting(),
            (How::Piped(..), Side::To) => to.splices_without_waiting(),
            _ => true,
        };
        if !waits_for_nobody {
            // Somebody has changed its mode.
            self.buffer_from_here();
        }
        let tried = match (&self.how, side) {
            (_, Side::To) if self.at < self.buffer.len() => return to.write_now(&self.buffer[self.at..]),
            (How::Spliced, Side::From) => splice(from.fd, to.fd, ROOM),
            (How::Piped(_, writer, _), Side::From) => splice(from.fd, writer.as_raw_fd(), ROOM),
            (How::Piped(reader, _, held), Side::To) => splice(reader.as_raw_fd(), to.fd, *held),
            _ => {
                let (at, room) = self.room();
                // SAFETY: room of the buffer's own.
                return unsafe { from.read_now(at, room) };
            }
        };
        if tried != Tried::Failed(libc::EINVAL) {
            return tried;
        }
        // One of them knows no splice.
        self.buffer_from_here();
        match self.next() {
            Some(side) => self.attempt(side, from, to),
            None => Tried::Wait,
        }
    }

    fn buffer_from_here(&mut self) {
        self.keep();
        self.how = How::Buffered;
    }

    /// Where the next bytes are read to. (Nothing is in the buffer that is still wanted.)
    pub(super) fn room(&mut self) -> (*mut u8, usize) {
        (self.at, _) = (0, self.buffer.clear());
        self.buffer.reserve_exact(ROOM);
        (self.buffer.as_mut_ptr(), ROOM)
    }

    /// So many bytes have gone on from this side.
    pub(super) fn has_moved(&mut self, side: Side, n: usize) {
        match (&mut self.how, side) {
            (_, Side::From) if n == 0 => self.ended = true,
            (How::Spliced, Side::From) => self.moved += n as u64,
            (How::Piped(_, _, held), Side::From) => *held = n,
            // SAFETY: they have been read into it.
            (_, Side::From) => unsafe { self.buffer.set_len(n.min(self.buffer.capacity())) },
            (how, Side::To) => {
                self.moved += n as u64;
                match how {
                    _ if self.at < self.buffer.len() => self.at += n,
                    How::Piped(_, _, held) => *held = held.saturating_sub(n),
                    _ => {}
                }
            }
        }
    }

    /// What is on the way is in the buffer from here on.
    pub(super) fn keep(&mut self) {
        self.buffer.drain(..self.at.min(self.buffer.len()));
        self.at = 0;
        if let How::Piped(reader, _, held) = &mut self.how {
            let before = self.buffer.len();
            self.buffer.resize(before + std::mem::take(held), 0);
            // (It is there, so that nobody waits.)
            if reader.read_exact(&mut self.buffer[before..]).is_err() {
                self.buffer.truncate(before);
            }
        }
    }
}

/// Without waiting for a pipe, and without a signal.
fn splice(from: RawFd, to: RawFd, len: usize) -> Tried {
    // SAFETY: no offset is passed.
    Tried::unsignalled(|| unsafe {
        libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), len, libc::SPLICE_F_NONBLOCK)
    })
}
