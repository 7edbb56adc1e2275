//! What a readiness back end asks of epoll, or of poll(2).

use crate::registrar::Registrar;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// A technique that tells which descriptors are ready.
pub(super) trait Selector: Send {
    /// Report `fd` once when one of `events` (or an error) is there. Replaces what was armed for it before. It fails for a
    /// descriptor that the technique cannot watch: a file or a directory, say.
    fn arm(&mut self, fd: RawFd, events: i16) -> io::Result<Armed>;
    /// Report `fd` no more, unless it is registered.
    fn disarm(&mut self, fd: RawFd);
    /// With whom it would be registered.
    fn registrar(&self) -> Option<&Arc<Registrar>> {
        None
    }
    /// Waits, and appends what is ready.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Report>) -> io::Result<()>;
    /// Its own descriptor may be somebody else's by now: it is used no more, and not closed.
    fn lose(&mut self) {}
    /// A descriptor that is readable when `wait` would find something, if there is one.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// What came of [`Selector::arm`].
pub(super) enum Armed {
    /// It is reported once.
    Once,
    /// Nothing was armed: it is registered, by this number. What that has to say is still to come.
    Registered(u32),
}

/// A descriptor is ready.
pub(super) struct Report {
    pub(super) fd: RawFd,
    /// The number of the registration that says so; 0: it was armed.
    pub(super) registration: u32,
    pub(super) revents: i16,
}
