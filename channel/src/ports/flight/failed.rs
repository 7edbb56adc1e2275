//! What becomes of a port whose driver has failed for good: somebody has closed its descriptor, or forbidden its calls.
//!
//! Requests that the driver has come back with that errno, and so does what is submitted from then on. Timers of operations go on.
//! Whoever drives the port naps where it would sleep in the driver; nobody rings for it. On io_uring the kernel may have requests in its
//! hands, and write to their buffers. These come back when the kernel gives them back, and not before.

#![allow(unsafe_code)]

use super::{Abort, Drive, Phase};
use crate::operation::Owner;
use crate::waker::Waker;
use std::io;
use std::time::Duration;

/// So long a nap is at most: nobody rings.
const NAP: Duration = Duration::from_millis(10);

/// The errno of an error of the driver's that does not go away. (Memory that is short does. Errors of requests do not come this way.)
pub(crate) fn lasting(error: &io::Error) -> Option<i32> {
    let lasts = |errno: &i32| {
        matches!(
            *errno,
            // Its descriptor is closed, or another file has the number.
            libc::EBADF | libc::EINVAL | libc::ENXIO | libc::EOPNOTSUPP | libc::EBADFD | libc::EFAULT
            // A filter forbids the call.
            | libc::EPERM | libc::EACCES | libc::ENOSYS
        )
    };
    error.raw_os_error().filter(lasts)
}

/// See the module.
pub(crate) struct Failed {
    pub(super) errno: i32,
    /// The kernel has requests, and its ring can still be looked at.
    looks: bool,
}

impl Drive {
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// The driver has failed for good.
    #[cold]
    pub(crate) fn fail(&mut self, errno: i32) {
        for slot in 0..self.flights.len() {
            let f = &mut self.flights[slot];
            // SAFETY: a request in flight is in place.
            if f.id == 0 || f.phase == Phase::Timer && unsafe { (*f.op).owner == Owner::Somebody } {
                continue;
            }
            // (What comes of it is final from now on: it is not handed to the driver again.)
            f.abort = Abort::Failed(errno);
            // (Those that the driver has come with it, below.)
            self.end_idle(slot as u32, -errno);
        }
        let looks = self.backend.fail(errno, &mut self.done);
        self.failed = Some(Failed { errno, looks });
    }

    /// What there is to be seen, without waiting.
    pub(crate) fn look(&mut self) {
        if self.failed.as_ref().is_some_and(|failed| failed.looks) {
            let _ = self.backend.glance(&mut self.done);
        }
    }

    /// See [`Backend::poll`](crate::drivers::Backend::poll).
    #[inline]
    pub(crate) fn poll(&mut self, timeout: Option<Duration>, waker: &Waker) -> io::Result<()> {
        if !self.has_failed() {
            return self.backend.poll(timeout, &mut self.done);
        }
        self.nap(timeout, || waker.is_asleep());
        Ok(())
    }

    /// In place of a sleep in the driver, while `sleeps` says so.
    fn nap(&mut self, timeout: Option<Duration>, sleeps: impl Fn() -> bool) {
        let end = timeout.map(|t| self.backend.now() + t.min(Duration::from_secs(1 << 31)));
        loop {
            self.look();
            let left = end.map_or(NAP, |end| end.saturating_duration_since(self.backend.now()));
            if left.is_zero() || !self.done.is_empty() || !sleeps() {
                return;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}
