//! What a port asks of the operating system, and how it is answered.

#![allow(unsafe_code)]

use crate::operation::RawOp;
use crate::registrar::Registrar;
use crate::sys;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A completed request: its id as a word, and its result (>= 0, or minus an errno).
pub(crate) type Done = (u64, i32);

/// A driver; see the folder.
pub(crate) trait Backend: Send {
    /// Takes a request over. What it comes to is reported by a later `poll`. `tried`: it would block, as its owner has just
    /// seen. False: this driver cannot carry it out, and has nothing to do with it.
    ///
    /// # Safety
    /// The operation stays in place, what it points to stays valid, and its descriptor open, until the request's completion was
    /// reported.
    #[must_use]
    unsafe fn submit(&mut self, id: u64, op: *const RawOp, tried: bool) -> bool;

    /// As [`submit`](Self::submit), but nothing is done: what is reported is what poll(2) says of the descriptor, once it is ready
    /// for `events`.
    ///
    /// # Safety
    /// As there.
    unsafe fn await_readiness(&mut self, id: u64, fd: RawFd, events: i16);

    /// Asks to give up request `id`, which was submitted with `op`, or awaits its descriptor. It is still reported, as done or as
    /// `-ECANCELED`; a request that has been reported already is left in peace.
    ///
    /// # Safety
    /// As for [`submit`](Self::submit).
    unsafe fn cancel(&mut self, id: u64, op: *const RawOp);

    /// Sends what is queued, waits until something completes, the waker is called or `timeout` is over
    /// (`None`: for ever; zero: not at all), and appends what completed. An early return is allowed.
    fn poll(&mut self, timeout: Option<Duration>, done: &mut Vec<Done>) -> io::Result<()>;

    /// Appends what is complete already. A driver that sees that without a system call makes none; what is
    /// queued may stay so.
    fn glance(&mut self, done: &mut Vec<Done>) -> io::Result<()> {
        self.poll(Some(Duration::ZERO), done)
    }

    /// Appends what was done as it was submitted, as far as that is known without a look at the operating system.
    fn take_settled(&mut self, _done: &mut Vec<Done>) {}

    /// Hands everything over that is queued here. True: nothing is left, and nothing is complete yet, so one may wait
    /// for the descriptor instead of calling `poll`.
    fn flush(&mut self) -> bool;

    /// It has failed for good, and is not asked for anything any more: nothing more goes to the operating system, and nothing is closed that
    /// may be somebody else's by now. Appends what it has with minus this errno; but for what the kernel has in its hands. True: there may
    /// be such, and [`glance`](Self::glance) still finds what of it comes back.
    fn fail(&mut self, errno: i32, done: &mut Vec<Done>) -> bool;

    /// When `poll` is to be called, although nothing may have happened by then. `None`: it need not.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// The driver's clock. Nothing in a port reads any other.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// As that, in nanoseconds since some point in time: exact to some milliseconds only, and for less.
    fn roughly_now(&self) -> u64 {
        sys::roughly_now()
    }

    /// With whom descriptors are registered, to be reported as long as their owners wish. `None`: there is nobody.
    fn registrar(&self) -> Option<Arc<Registrar>> {
        None
    }

    /// A descriptor that is readable when `poll` would find something. `None`: there is none, now or later; who waits does so in `poll`.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;
}
