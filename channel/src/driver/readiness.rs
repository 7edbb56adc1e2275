//! What the readiness back ends share: requests wait by descriptor until it is ready, then the call is tried.
//!
//! A request goes this way:
//!
//! 1. `submit` notes it in its descriptor's list and arms the selector. The interest is one-shot, and it is the union
//!    of what the list waits for.
//! 2. The selector reports the descriptor.
//! 3. Each waiting request whose interest is met is tried in order, without blocking.
//! 4. What is done is reported. What would block stays, and the descriptor is armed again.
//!
//! One-shot interest keeps a closed and reused descriptor number harmless: nothing is armed for a descriptor that
//! nobody waits for.

#![allow(unsafe_code)]

use super::backend::{Backend, Done};
use super::syscall::{attempt, ready_now, start_connect};
use crate::raw::Action;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

/// A technique that tells which descriptors are ready.
pub(super) trait Selector: Send {
    /// Report `fd` once when one of `events` (or an error) is there. Replaces what was armed for it before. It fails for a
    /// descriptor that the technique cannot watch: a file or a directory, say.
    fn arm(&mut self, fd: RawFd, events: i16) -> io::Result<()>;
    /// Report `fd` no more.
    fn disarm(&mut self, fd: RawFd);
    /// Waits, and appends `(fd, revents)`.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<(RawFd, i16)>) -> io::Result<()>;
    /// A descriptor that is readable when `wait` would find something.
    fn as_fd(&self) -> BorrowedFd<'_>;
}

struct Pending {
    id: u64,
    action: Action,
}

// SAFETY: the pointers inside may be used from any thread, by the contract of `submit_raw`.
unsafe impl Send for Pending {}

pub(super) struct Readiness<S> {
    selector: S,
    /// By descriptor number.
    pending: Vec<Vec<Pending>>,
    /// Settled outside `poll`, reported by the next.
    settled: Vec<Done>,
    ready: Vec<(RawFd, i16)>,
}

impl<S: Selector> Readiness<S> {
    pub(super) fn new(selector: S) -> Self {
        Self { selector, pending: Vec::new(), settled: Vec::new(), ready: Vec::new() }
    }

    fn arm(&mut self, fd: RawFd) {
        let list = &self.pending[fd as usize];
        let events = list.iter().fold(0, |e, w| e | w.action.interest());
        if list.is_empty() {
            return;
        }
        if let Err(e) = self.selector.arm(fd, events) {
            // What is ready all the same is done (a file always is); nothing would ever tell of the rest. (What is no descriptor that can be
            // used is not ready, whatever poll(2) calls it.)
            self.try_all(fd, ready_now(fd, events).unwrap_or(0) & !libc::POLLNVAL);
            let code = -e.raw_os_error().unwrap_or(libc::EIO);
            let failed = self.pending[fd as usize].drain(..).map(|w| (w.id, code));
            self.settled.extend(failed);
        }
    }

    fn try_all(&mut self, fd: RawFd, revents: i16) {
        let always = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        let Self { pending, settled, .. } = self;
        let Some(list) = pending.get_mut(fd as usize) else { return };
        list.retain(|w| {
            if revents & (w.action.interest() | always) == 0 {
                return true;
            }
            // SAFETY: the request has not been reported, so by `submit`'s contract all is still valid.
            match unsafe { attempt(&w.action, revents) } {
                Some(result) => {
                    settled.push((w.id, result));
                    false
                }
                None => true,
            }
        });
        // An idle descriptor keeps no memory but its place.
        if list.is_empty() && list.capacity() > 4 {
            *list = Vec::new();
        }
    }
}

impl<S: Selector> Backend for Readiness<S> {
    unsafe fn submit(&mut self, id: u64, action: &Action) {
        let Some(fd) = action.fd() else {
            self.settled.push((id, 0));
            return;
        };
        if fd < 0 {
            self.settled.push((id, -libc::EBADF));
            return;
        }
        if let Action::Connect { fd, addr, len } = *action {
            // SAFETY: by contract.
            if let Some(result) = unsafe { start_connect(fd, addr, len) } {
                self.settled.push((id, result));
                return;
            }
        }
        if self.pending.len() <= fd as usize {
            self.pending.resize_with(fd as usize + 1, Vec::new);
        }
        self.pending[fd as usize].push(Pending { id, action: *action });
        self.arm(fd);
    }

    fn cancel(&mut self, id: u64, action: &Action) {
        let Some(fd) = action.fd().filter(|fd| *fd >= 0) else { return };
        let Some(list) = self.pending.get_mut(fd as usize) else { return };
        let Some(at) = list.iter().position(|w| w.id == id) else { return };
        let gone = list.remove(at);
        if list.is_empty() {
            // While the descriptor is still open: another may have its number next, and this file live on elsewhere.
            self.selector.disarm(fd);
        }
        // What has arrived by now is delivered, as the kernel itself would have done.
        let arrived = match gone.action {
            // SAFETY: the request has not been reported, so by `submit`'s contract all is still valid.
            Action::Recv { .. } | Action::RecvMsg { .. } => unsafe { attempt(&gone.action, 0) },
            _ => None,
        };
        self.settled.push((id, arrived.unwrap_or(-libc::ECANCELED)));
    }

    fn poll(&mut self, timeout: Option<Duration>, done: &mut Vec<Done>) -> io::Result<()> {
        let timeout = if self.settled.is_empty() { timeout } else { Some(Duration::ZERO) };
        let mut ready = std::mem::take(&mut self.ready);
        let waited = self.selector.wait(timeout, &mut ready);
        for (fd, revents) in ready.drain(..) {
            self.try_all(fd, revents);
            self.arm(fd);
        }
        self.ready = ready;
        done.append(&mut self.settled);
        waited
    }

    fn flush(&mut self) -> bool {
        self.settled.is_empty()
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.selector.as_fd()
    }
}
