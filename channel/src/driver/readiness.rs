//! What the readiness back ends share: requests wait by descriptor until it is ready, then the call is tried.
//!
//! A request goes this way:
//!
//! 1. `submit` tries it: what is done at once is done, and what can never work fails with the kernel's errno. (Unless its
//!    owner has just done so. And behind another of its kind that waits, it would wait, too.)
//! 2. It waits in a line of its descriptor, and the selector is armed. The interest is one-shot, and it is the union of
//!    what the lines wait for.
//! 3. The selector reports the descriptor. In each line whose interest is met the requests are tried in order, without
//!    blocking, until one would block.
//! 4. What is done is reported, and the descriptor is armed again: at once if there was progress, else after a rest.
//!
//! One-shot interest keeps a closed and reused descriptor number harmless: nothing is armed for a descriptor that
//! nobody waits for.

#![allow(unsafe_code)]

use super::backend::{Backend, Done};
use super::rest::Rests;
use super::syscall::{attempt, first_attempt, ready_now};
use super::waiters::{Kind, Lines, Tried, Waiters};
use crate::raw::Action;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::{Duration, Instant};

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

/// One descriptor.
#[derive(Default)]
struct Watched {
    lines: Lines,
    /// What the selector has been armed for, and has not reported yet.
    armed: i16,
}

pub(super) struct Readiness<S> {
    selector: S,
    waiters: Waiters,
    /// By descriptor number.
    watched: Vec<Watched>,
    rests: Rests,
    /// Settled outside `poll`, reported by the next.
    settled: Vec<Done>,
    ready: Vec<(RawFd, i16)>,
}

impl<S: Selector> Readiness<S> {
    pub(super) fn new(selector: S) -> Self {
        Self {
            selector,
            waiters: Waiters::default(),
            watched: Vec::new(),
            rests: Rests::default(),
            settled: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Whoever waits for `fd` will hear of it.
    fn arm(&mut self, fd: RawFd) {
        let watched = &mut self.watched[fd as usize];
        if watched.lines.is_empty() {
            // The number may have another owner next.
            self.rests.forget(fd as u64);
            return;
        }
        let events = watched.lines.interest();
        let is_armed = watched.armed != 0 && events & !watched.armed == 0;
        if is_armed || self.rests.is_resting(fd as u64) {
            return;
        }
        watched.armed = events;
        if let Err(e) = self.selector.arm(fd, events) {
            watched.armed = 0;
            // What is ready all the same is done (a file always is); nothing would ever tell of the rest. (What is no
            // descriptor that can be used is not ready, whatever poll(2) calls it.)
            self.try_all(fd, ready_now(fd, events).unwrap_or(0) & !libc::POLLNVAL);
            let code = -e.raw_os_error().unwrap_or(libc::EIO);
            let watched = &mut self.watched[fd as usize];
            self.waiters.fail_all(&mut watched.lines, code, &mut self.settled);
            self.rests.forget(fd as u64);
        }
    }

    fn try_all(&mut self, fd: RawFd, revents: i16) -> Tried {
        let lines = &mut self.watched[fd as usize].lines;
        // SAFETY: a request that waits has not been reported, so by `submit`'s contract all is still valid.
        let attempt = |action: &Action| unsafe { attempt(action, revents) };
        self.waiters.try_all(lines, revents, attempt, &mut self.settled)
    }

    fn reported(&mut self, fd: RawFd, revents: i16) {
        let Some(watched) = self.watched.get_mut(fd as usize) else { return };
        watched.armed = 0;
        match self.try_all(fd, revents) {
            Tried::Progress => self.rests.forget(fd as u64),
            // Those it was for have left: it is armed for less next time.
            Tried::Nobody => {}
            Tried::InVain => {
                let now = self.now();
                self.rests.begin(fd as u64, now);
            }
        }
        self.arm(fd);
    }

    fn end_rests(&mut self) {
        if self.rests.next().is_none() {
            return;
        }
        let now = self.now();
        while let Some(fd) = self.rests.take_due(now) {
            self.arm(fd as RawFd);
        }
    }
}

impl<S: Selector> Backend for Readiness<S> {
    unsafe fn submit(&mut self, id: u64, action: &Action, tried: bool) {
        // SAFETY: by contract.
        let kind = unsafe { Kind::of(action) };
        let (Some(fd), Some(kind)) = (action.fd(), kind) else {
            self.settled.push((id, 0));
            return;
        };
        if fd < 0 {
            self.settled.push((id, -libc::EBADF));
            return;
        }
        if self.watched.len() <= fd as usize {
            self.watched.resize_with(fd as usize + 1, Watched::default);
        }
        let watched = &mut self.watched[fd as usize];
        if kind == Kind::Connect || !tried && !watched.lines.wait_for(kind) {
            // While it rests the selector does not tell.
            let revents = match kind {
                Kind::Poll { events } if self.rests.is_resting(fd as u64) => {
                    ready_now(fd, events).unwrap_or(0) & !libc::POLLNVAL
                }
                _ => 0,
            };
            // SAFETY: by contract.
            if let Some(result) = unsafe { first_attempt(action, revents) } {
                self.settled.push((id, result));
                return;
            }
        }
        self.waiters.join(&mut watched.lines, kind, id, *action);
        self.arm(fd);
    }

    fn cancel(&mut self, id: u64, action: &Action) {
        let Some(fd) = action.fd().filter(|fd| *fd >= 0) else { return };
        let Some(watched) = self.watched.get_mut(fd as usize) else { return };
        let Some(gone) = self.waiters.leave(&mut watched.lines, id) else { return };
        if watched.lines.is_empty() {
            // While the descriptor is still open: another may have its number next, and this file live on elsewhere.
            self.selector.disarm(fd);
            watched.armed = 0;
            self.rests.forget(fd as u64);
        }
        // What has arrived by now is delivered, as the kernel itself would have done.
        let revents = match gone {
            Action::Poll { events, .. } => ready_now(fd, events).unwrap_or(0),
            _ => 0,
        };
        let arrived = match gone {
            Action::Recv { .. } | Action::RecvMsg { .. } | Action::Accept { .. } | Action::Poll { .. } => {
                // SAFETY: the request has not been reported, so by `submit`'s contract all is still valid.
                unsafe { attempt(&gone, revents) }
            }
            _ => None,
        };
        self.settled.push((id, arrived.unwrap_or(-libc::ECANCELED)));
    }

    fn poll(&mut self, timeout: Option<Duration>, done: &mut Vec<Done>) -> io::Result<()> {
        let timeout = if self.settled.is_empty() { timeout } else { Some(Duration::ZERO) };
        let mut ready = std::mem::take(&mut self.ready);
        let waited = self.selector.wait(timeout, &mut ready);
        for (fd, revents) in ready.drain(..) {
            self.reported(fd, revents);
        }
        self.ready = ready;
        self.end_rests();
        done.append(&mut self.settled);
        waited
    }

    fn flush(&mut self) -> bool {
        self.settled.is_empty()
    }

    fn due(&self) -> Option<Instant> {
        self.rests.next()
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.selector.as_fd()
    }
}
