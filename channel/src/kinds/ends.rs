//! The two ends of what goes from a descriptor to another.

#![allow(unsafe_code)]

use super::readiness::cannot_be_polled;
use super::sort;
use crate::operation::{Caller, Class, Line, Readiness, Step};
use crate::sys::{self, sigpipe};
use std::cell::Cell;
use std::os::fd::RawFd;
use std::ptr;

/// What there is at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A pipe, or a FIFO.
    Pipe,
    Socket,
    /// A regular file, a block device: a call waits for a disk; or, if it can be polled, for whoever serves it.
    File,
    /// A terminal, another device, what has no name.
    Other,
}

/// An end, and what it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) fd: RawFd,
    pub(super) sort: Sort,
}

impl End {
    /// To read from. Or what a call says of a descriptor that is of no use for that.
    pub(super) fn to_read(fd: RawFd) -> Result<Self, i32> {
        // SAFETY: nothing is read.
        Self::new(fd, libc::O_WRONLY, || unsafe { libc::readv(fd, ptr::null(), 0) })
    }

    /// To write to. Or as there.
    pub(super) fn to_write(fd: RawFd) -> Result<Self, i32> {
        // SAFETY: nothing is written.
        Self::new(fd, libc::O_RDONLY, || unsafe { libc::writev(fd, ptr::null(), 0) })
    }

    /// `for_nothing` is a call for no bytes, not even in one part: the kernel looks at the descriptor, and does not call the file.
    fn new(fd: RawFd, wrong_mode: i32, for_nothing: impl Fn() -> isize) -> Result<Self, i32> {
        // SAFETY: no pointer is passed.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        if flags < 0 || flags & libc::O_PATH != 0 || flags & libc::O_ACCMODE == wrong_mode {
            return Err(libc::EBADF);
        }
        let sort = match sort::look(fd)?.0 {
            libc::S_IFIFO => Sort::Pipe,
            libc::S_IFSOCK => Sort::Socket,
            libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR => Sort::File,
            _ => Sort::Other,
        };
        // What can be polled, and has neither call (a pidfd, an epoll instance), would be waited for.
        if sort == Sort::Other && for_nothing() < 0 && sys::errno() == libc::EINVAL {
            return Err(libc::EINVAL);
        }
        Ok(End { fd, sort })
    }

    /// read(2), write(2) and splice(2) never wait for others there: it is in non-blocking mode. (Right now: the mode is that of the open file,
    /// which others may share.)
    fn never_waits(&self) -> bool {
        // SAFETY: no pointer is passed.
        self.sort != Sort::File && unsafe { libc::fcntl(self.fd, libc::F_GETFL) & libc::O_NONBLOCK != 0 }
    }

    /// splice(2) from a pipe or to one does not wait here, if it is told not to.
    pub(super) fn splices_without_waiting(&self) -> bool {
        self.sort == Sort::Pipe || self.never_waits()
    }

    /// Reads into so many bytes, without waiting.
    ///
    /// # Safety
    /// They may be written to.
    pub(super) unsafe fn read_now(&self, into: *mut u8, len: usize) -> Tried {
        let iov = libc::iovec { iov_base: into.cast(), iov_len: len };
        // SAFETY: by contract.
        unsafe {
            match self.sort {
                Sort::Socket => Tried::of(|| libc::recv(self.fd, into.cast(), len, libc::MSG_DONTWAIT)),
                _ if self.never_waits() => Tried::of(|| libc::read(self.fd, into.cast(), len)),
                Sort::Pipe => Tried::of(|| libc::preadv2(self.fd, &iov, 1, -1, libc::RWF_NOWAIT)).or_help(),
                Sort::File | Sort::Other => Tried::Help,
            }
        }
    }

    /// Writes these bytes, as far as it goes without waiting.
    pub(super) fn write_now(&self, bytes: &[u8]) -> Tried {
        let (at, len) = (bytes.as_ptr().cast(), bytes.len());
        let iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: len };
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: live bytes, which are only read.
        unsafe {
            match self.sort {
                Sort::Socket => Tried::of(|| libc::send(self.fd, at, len, flags)),
                _ if self.never_waits() => Tried::unsignalled(|| libc::write(self.fd, at, len)),
                Sort::Pipe => {
                    Tried::unsignalled(|| libc::pwritev2(self.fd, &iov, 1, -1, libc::RWF_NOWAIT)).or_help()
                }
                Sort::File | Sort::Other => Tried::Help,
            }
        }
    }

    /// Makes a call at this end that may wait: for a disk, or for as long as others wish.
    pub(super) fn blocking(&self, caller: &dyn Caller, mut call: impl FnMut() -> isize) -> i32 {
        if self.sort == Sort::File && cannot_be_polled(self.fd) {
            return sys::blocking(call);
        }
        caller.at_length(&mut || match call() {
            n if n >= 0 => n as i32,
            _ => -sys::errno(),
        })
    }

    /// Whether it is ready for `events`, or has failed. (A file always is: poll(2) may ask a slow server.)
    pub(super) fn is_ready(&self, events: i16) -> bool {
        self.sort == Sort::File || sys::ready_now(self.fd, events).unwrap_or(events) != 0
    }
}

/// What came of a call that does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// So many bytes; 0 is the end of the input.
    Moved(usize),
    /// It would wait.
    Wait,
    /// It cannot be made without waiting: a helper is to make it.
    Help,
    Failed(i32),
}

impl Tried {
    pub(super) fn of(call: impl FnMut() -> isize) -> Self {
        sys::now(call).map_or(Tried::Wait, Self::from_result)
    }

    /// As [`of`](Self::of), of a call that may write to where nobody reads any more: no signal comes of it.
    pub(super) fn unsignalled(call: impl FnMut() -> isize) -> Self {
        sigpipe::without(|| sys::now(call)).map_or(Tried::Wait, Self::from_result)
    }

    /// A number of bytes, or minus an errno.
    pub(super) fn from_result(result: i32) -> Self {
        match result {
            0.. => Tried::Moved(result as usize),
            _ if result == -libc::EAGAIN => Tried::Wait,
            _ => Tried::Failed(-result),
        }
    }

    /// The kernel may not know that sort of call there.
    fn or_help(self) -> Self {
        let unknown = matches!(self, Tried::Failed(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS));
        if unknown { Tried::Help } else { self }
    }
}

/// Which end is awaited, if one is.
#[derive(Default)]
pub(super) struct Awaited(Cell<Option<(RawFd, i16)>>);

static AWAITS: Class = Class::new();

impl Awaited {
    /// What has been awaited is no more.
    pub(super) fn take(&self) -> Option<(RawFd, i16)> {
        self.0.take()
    }

    /// It goes on when the end is ready. If it has been `awaited`, that was in vain.
    pub(super) fn again(&self, end: &End, events: i16, awaited: Option<(RawFd, i16)>) -> Step {
        if awaited == Some((end.fd, events)) {
            return Step::Rest;
        }
        self.0.set(Some((end.fd, events)));
        Step::Await(end.fd, events)
    }

    pub(super) fn waits_for(&self) -> Option<Readiness> {
        let (fd, interest) = self.0.get()?;
        Some(Readiness { fd, interest, line: Line::new(&AWAITS, i32::from(interest)) })
    }
}
