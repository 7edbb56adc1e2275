//! The raw operation layer: what lies beneath events, for callers that suspend.
//!
//! A [`RawOp`] lies wherever its owner put it (a task's stack frame, a boxed event). It must stay there,
//! untouched, until it is complete. Then:
//!
//! 1. The port that drives it writes the result into it and hands it back in a batch.
//! 2. Whoever drove the port calls the operation's wake function: once, with its one word, under no lock.
//!
//! Nothing is allocated for an operation.

#![allow(unsafe_code)]

pub use crate::id::OpId;
use std::os::fd::RawFd;
use std::time::Instant;

/// What an operation does. The pointers must stay valid, and what they point to untouched, until
/// the operation is complete.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Action {
    /// accept4(2) with `SOCK_CLOEXEC`; the result is the new descriptor.
    Accept {
        /// The listening socket.
        fd: RawFd,
        /// Where the peer's address goes.
        addr: *mut libc::sockaddr_storage,
        /// In: the size of `addr`; out: what was used of it.
        len: *mut libc::socklen_t,
    },
    /// connect(2), without blocking the caller whatever the descriptor's mode.
    Connect {
        /// The socket, not yet connected.
        fd: RawFd,
        /// Whereto.
        addr: *const libc::sockaddr_storage,
        /// How much of `addr` is used.
        len: libc::socklen_t,
    },
    /// recv(2); the result is the number of bytes, 0 at the end of the stream.
    Recv {
        /// The socket.
        fd: RawFd,
        /// Where the bytes go.
        buf: *mut u8,
        /// How many at the most.
        len: usize,
        /// `MSG_PEEK` and the like.
        flags: i32,
    },
    /// send(2) with `MSG_NOSIGNAL`; the result is the number of bytes taken, perhaps fewer than given.
    Send {
        /// The socket.
        fd: RawFd,
        /// Where the bytes are.
        buf: *const u8,
        /// How many.
        len: usize,
        /// Further flags.
        flags: i32,
    },
    /// recvmsg(2).
    RecvMsg {
        /// The socket.
        fd: RawFd,
        /// As for recvmsg(2).
        msg: *mut libc::msghdr,
        /// As for recvmsg(2).
        flags: i32,
    },
    /// sendmsg(2) with `MSG_NOSIGNAL`.
    SendMsg {
        /// The socket.
        fd: RawFd,
        /// As for sendmsg(2).
        msg: *const libc::msghdr,
        /// Further flags.
        flags: i32,
    },
    /// poll(2) for one descriptor; the result is `revents`.
    Poll {
        /// Anything that can be polled. What cannot (a regular file) is always ready.
        fd: RawFd,
        /// `POLLIN` and the like.
        events: i16,
    },
    /// Completes with 0 when its deadline comes; at once if it has none.
    Timer,
}

impl Action {
    pub(crate) fn fd(&self) -> Option<RawFd> {
        match *self {
            Action::Accept { fd, .. }
            | Action::Connect { fd, .. }
            | Action::Recv { fd, .. }
            | Action::Send { fd, .. }
            | Action::RecvMsg { fd, .. }
            | Action::SendMsg { fd, .. }
            | Action::Poll { fd, .. } => Some(fd),
            Action::Timer => None,
        }
    }

    /// What to poll for until the action can go on.
    pub(crate) fn interest(&self) -> i16 {
        match *self {
            // (With its own bit, that the receiving side is shut down.)
            Action::Accept { .. } | Action::Recv { .. } | Action::RecvMsg { .. } => {
                libc::POLLIN | libc::POLLRDHUP
            }
            Action::Connect { .. } | Action::Send { .. } | Action::SendMsg { .. } => libc::POLLOUT,
            Action::Poll { events, .. } => events,
            Action::Timer => 0,
        }
    }
}

/// One operation: what to do, until when, and whom to tell.
#[repr(C)]
pub struct RawOp {
    pub(crate) action: Action,
    pub(crate) deadline: Option<Instant>,
    wake: unsafe fn(usize),
    word: usize,
    pub(crate) result: i32,
    /// The op is the first field of a boxed event.
    pub(crate) is_event: bool,
    pub(crate) tried: bool,
}

// SAFETY: an operation is a description; its raw pointers are only used by the port under the
// contract of `submit_raw`, which asks that they may be used from any thread.
unsafe impl Send for RawOp {}

impl RawOp {
    /// An operation that calls `wake(word)` once when it is complete, on the thread that drives the port.
    pub fn new(action: Action, wake: unsafe fn(usize), word: usize) -> Self {
        Self { action, deadline: None, wake, word, result: 0, is_event: false, tried: false }
    }

    /// The operation is given up with `-ETIME` at `deadline` (for [`Action::Timer`]: completed).
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Its owner has just tried it by a system call that does not wait, in vain. A driver that waits for readiness does not
    /// try it once more before it waits.
    pub fn set_tried(&mut self, tried: bool) {
        self.tried = tried;
    }

    /// What came of it: 0 or more as the system call of its name gives, or minus an errno.
    /// `-ETIME`: its own deadline came first. `-ECANCELED`: it was cancelled.
    pub fn result(&self) -> i32 {
        self.result
    }
}

/// A completed operation on its way back to its owner.
#[must_use = "an operation that is not delivered never wakes its owner"]
pub struct RawCompletion {
    wake: unsafe fn(usize),
    word: usize,
}

impl RawCompletion {
    /// # Safety
    /// `op` is complete and still in place; from `deliver` on its owner may do with it what it likes.
    pub(crate) unsafe fn of(op: *const RawOp) -> Self {
        // SAFETY: by contract.
        let op = unsafe { &*op };
        Self { wake: op.wake, word: op.word }
    }

    /// Calls the operation's wake function.
    pub fn deliver(self) {
        // SAFETY: `submit_raw`'s caller promised that the function may be called once with this word,
        // and a completion exists once.
        unsafe { (self.wake)(self.word) }
    }
}
