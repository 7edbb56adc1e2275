//! A socket at which whoever connects is given a place.

use super::queue::{Queue, Role};
use super::tending::A_MOMENT;
use super::wire;
use crate::closing::Outside;
use crate::kinds::accept::accept_now;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixListener;

/// So many are accepted at a time, so that each has its turn.
const MOST: usize = 16;

pub(super) struct Listener {
    /// (Connections that nobody has accepted are closed with it, and what was sent to them.) `None`: somebody has shut it down.
    socket: Option<Outside>,
    role: Role,
    /// Nobody is accepted for a moment.
    is_paused: bool,
    /// Was accepted, and has to wait for its place.
    waits: Option<Outside>,
}

impl Listener {
    pub(super) fn new(socket: UnixListener, role: Role) -> Self {
        Listener { socket: Some(Outside::new(socket.into())), role, is_paused: false, waits: None }
    }

    /// What may be watched of it.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(Outside::as_fd)
    }
}

/// Nobody will ever be accepted there: somebody has shut it down.
fn is_over(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBADF | libc::ENOTSOCK | libc::EOPNOTSUPP))
}

impl Queue {
    pub(super) fn accept(&mut self, nth: usize) {
        for _ in 0..MOST {
            match self.accept_one(nth) {
                Ok(true) => {}
                Ok(false) => return,
                Err(e) => return self.accept_later(nth, e),
            }
        }
    }

    /// False: there is nobody.
    fn accept_one(&mut self, nth: usize) -> io::Result<bool> {
        let listener = &mut self.listeners[nth];
        let (Some(socket), role) = (&listener.socket, listener.role) else { return Ok(false) };
        let stream = match listener.waits.take() {
            Some(stream) => stream,
            None => match accept_now(socket.as_fd()) {
                Ok((stream, _)) => Outside::new(stream),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => return Ok(true),
                Err(e) => return Err(e),
            },
        };
        match self.admit(&stream, role) {
            Err(e) if wire::is_passing(&e) => {
                self.listeners[nth].waits = Some(stream);
                return Err(e);
            }
            Ok(()) => {}
            // (There is no place; or the other end has gone again.)
            Err(e) if matches!(e.kind(), io::ErrorKind::QuotaExceeded | io::ErrorKind::BrokenPipe) => {}
            Err(e) => self.trouble = Some(e),
        }
        wire::end(stream.as_fd());
        Ok(true)
    }

    /// As long as it cannot be done it would only be tried in vain.
    fn accept_later(&mut self, nth: usize, error: io::Error) {
        let listener = &mut self.listeners[nth];
        let Some(socket) = &listener.socket else { return };
        self.watch.remove(socket.as_fd());
        if is_over(&error) {
            listener.socket = None;
        } else {
            listener.is_paused = true;
            self.again.set(A_MOMENT);
        }
        self.trouble = Some(error);
    }

    /// The moment is over.
    pub(super) fn accept_again(&mut self) {
        for nth in 0..self.listeners.len() {
            let Listener { socket: Some(socket), is_paused: true, .. } = &self.listeners[nth] else {
                continue;
            };
            match self.watch.add(socket.as_fd(), (self.places.len() + nth) as u64) {
                Ok(()) => {
                    self.listeners[nth].is_paused = false;
                    self.accept(nth);
                }
                Err(e) => {
                    self.trouble = Some(e);
                    self.again.set(A_MOMENT);
                }
            }
        }
    }
}
