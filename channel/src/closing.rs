//! Closing what came from outside, by threads that are there for that.
//!
//! close(2) may last as long as somebody else wishes, if it is the last one: a socket lingers over what its peer does not read
//! (`SO_LINGER`), a file system that is a process answers when it likes, and a socket closes what lies in it unread. So who does not block
//! hands it to these threads. They are none of the [helpers](crate::helpers) that work for requests: however many descriptors somebody
//! sends whose close lasts, he holds up other such closes, and nothing else.

use crate::fork;
use crate::helpers::{Helpers, Here, Job};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// More closes than that at a time wait for each other. (Their descriptors are open as long.)
static CLOSERS: Helpers = Helpers::new(32, Duration::from_secs(10));

/// What is closed when it is dropped: by the thread that has taken it, behind the job. Without such a thread, by whoever submits.
struct Closing<T>(#[allow(dead_code, reason = "it is dropped")] T);

impl<T: Send + Sync> Job for Closing<T> {
    fn run(&self, _: &Here) {}

    fn refused(&self, _: &io::Error) {}
}

/// Drops it, soon: in another thread, if there is one to be had. (In a forked child at once.)
pub(crate) fn elsewhere<T: Send + Sync + 'static>(it: T) {
    if fork::is_child() {
        return drop(it);
    }
    CLOSERS.submit(Arc::new(Closing(it)));
}

/// A descriptor that came from outside, or of what others may put something into: dropped, it is closed [elsewhere].
#[derive(Debug)]
pub(crate) struct Outside(Option<OwnedFd>);

impl Outside {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Outside(Some(fd))
    }

    /// From here on its close is the caller's affair.
    pub(crate) fn into_owned(mut self) -> OwnedFd {
        self.0.take().expect("there until drop")
    }
}

impl AsFd for Outside {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_ref().expect("there until drop").as_fd()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(fd) = self.0.take() {
            elsewhere(fd);
        }
    }
}
