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
//!
//! A descriptor whose owner tells of its close can be [registered](crate::registrar) instead. Then each change is reported, once, whether
//! somebody waits or not, and nothing is armed or disarmed. What has been reported is kept, until an attempt finds that it is over: that
//! it would block. Nothing else says so. A read that gets less than it has room for may have ended at urgent data, even if somebody has
//! taken that, or between two records of TLS; and the kernel does not tell again of what is behind.
//!
//! Whoever else waits for such a descriptor, by no registration of his, hears of it by the one that there is. When that goes the
//! descriptor is armed for him.

#![allow(unsafe_code)]

use super::backend::{Backend, Done};
use super::rest::Rests;
use super::selector::{Armed, Report, Selector};
use super::waiters::{Lines, Tried, Waiters, What};
use crate::operation::{self, RawOp};
use crate::registrar::Registrar;
use crate::sys::{known_now, told, told_now, with_errors};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What attempts do not find to be over.
const LASTING: i16 = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;

/// One descriptor.
#[derive(Default)]
struct Watched {
    lines: Lines,
    /// What the selector has been armed for, and has not reported yet.
    armed: i16,
    /// The registration that was last heard of; 0: none. (It may have gone.)
    registration: u32,
    ready: Reported,
}

impl Watched {
    /// From here on the descriptor is reported by registration `number`; 0: by none.
    fn adopt(&mut self, number: u32) {
        if self.registration != number || number == 0 {
            (self.registration, self.ready, self.armed) = (number, Reported::default(), 0);
        }
    }
}

/// What a registration has reported, and nobody has found to be over.
#[derive(Default)]
struct Reported(i16);

impl Reported {
    /// An operation has found that it would block.
    fn is_over(&mut self, interest: i16) {
        self.0 &= !interest | LASTING;
    }
}

pub(super) struct Readiness<S> {
    selector: S,
    waiters: Waiters,
    /// By descriptor number.
    watched: Vec<Watched>,
    rests: Rests,
    /// Settled outside `poll`, reported by the next.
    settled: Vec<Done>,
    ready: Vec<Report>,
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
        if watched.registration != 0 || is_armed || self.rests.is_resting(fd as u64) {
            return;
        }
        match self.selector.arm(fd, events) {
            Ok(Armed::Once) => watched.armed = events,
            // What it has to say is still to come.
            Ok(Armed::Registered(number)) => watched.adopt(number),
            Err(e) => self.refused(fd, events, &e),
        }
    }

    #[cold]
    fn refused(&mut self, fd: RawFd, events: i16, e: &io::Error) {
        self.watched[fd as usize].armed = 0;
        // What is ready all the same is done (a file always is); nothing would ever tell of the rest.
        if let Some(revents @ 0..) = told_now(fd, events) {
            self.try_all(fd, revents as i16);
        }
        let code = -e.raw_os_error().unwrap_or(libc::EIO);
        let watched = &mut self.watched[fd as usize];
        self.waiters.fail_all(&mut watched.lines, code, &mut self.settled);
        self.rests.forget(fd as u64);
    }

    /// Registration `number` says something of the descriptor, or its owner does. False: it has gone.
    fn hear_of(&mut self, fd: RawFd, number: u32) -> bool {
        let watched = &mut self.watched[fd as usize];
        if watched.registration == number {
            return true;
        }
        let registrar = self.selector.registrar();
        let is_heard = registrar.is_some_and(|it| it.is_heard(fd, number, !watched.lines.is_empty()));
        if is_heard {
            watched.adopt(number);
            self.rests.forget(fd as u64);
        }
        is_heard
    }

    /// Is the descriptor registered? An operation is to wait for it whose owner says by which number (0: he does not know).
    fn is_registered(&mut self, fd: RawFd, number: u32) -> bool {
        if number != 0 {
            return self.hear_of(fd, number);
        }
        let watched = &mut self.watched[fd as usize];
        if watched.registration == 0 {
            return false;
        }
        let leans = self.selector.registrar().and_then(|it| it.lean_on(fd).ok());
        // (If it cannot be asked it is not to be armed either, which is told then.)
        let number = leans.map_or(0, |(number, _)| number);
        // (0: it has gone, and the descriptor's number has another owner, or none.)
        watched.adopt(number);
        number != 0
    }

    /// An operation that is to wait for a registered descriptor.
    fn submit_registered(&mut self, id: u64, op: *const RawOp, waits_for: operation::Readiness) {
        let watched = &mut self.watched[waits_for.fd as usize];
        let (line, interest) = (waits_for.line, waits_for.interest);
        let may_be_ready = watched.ready.0 & with_errors(interest) != 0;
        if may_be_ready && (line.barges || !watched.lines.wait_in(line)) {
            // SAFETY: by `submit`'s contract.
            let what = unsafe { RawOp::what(op) };
            // SAFETY: as above.
            let mut result = unsafe { what.attempt_unasked() };
            if result.is_none() && watched.ready.0 & LASTING != 0 {
                // (If nobody says what there is still, it is as was reported.)
                let revents = known_now(waits_for.fd, interest).unwrap_or(watched.ready.0);
                // SAFETY: as above.
                result = unsafe { what.end_of_input(revents) };
            }
            if let Some(result) = result {
                self.settled.push((id, result));
                return;
            }
            watched.ready.is_over(interest);
        }
        self.waiters.join(&mut watched.lines, waits_for, id, What::Operation(op));
    }

    fn try_all(&mut self, fd: RawFd, revents: i16) -> Tried {
        let Watched { lines, ready, .. } = &mut self.watched[fd as usize];
        let attempt = |what: What| match what {
            What::Operation(op) => {
                // SAFETY: a request that waits has not been reported, so by `submit`'s contract all is still valid.
                let operation = unsafe { RawOp::what(op) };
                // SAFETY: as above.
                let result = unsafe { operation.attempt(revents) };
                if let (None, Some(it)) = (result, operation.waits_for()) {
                    ready.is_over(it.interest);
                }
                result
            }
            What::Readiness(events) => told(revents, events),
        };
        self.waiters.try_all(lines, revents, attempt, &mut self.settled)
    }

    /// The place of a descriptor. `None`: there is none of that number.
    fn watched(&mut self, fd: RawFd) -> Option<&mut Watched> {
        let at = usize::try_from(fd).ok()?;
        if self.watched.len() <= at {
            self.watched.resize_with(at + 1, Watched::default);
        }
        Some(&mut self.watched[at])
    }

    fn reported(&mut self, Report { fd, registration, revents }: Report) {
        if registration != 0 {
            return self.reported_by(fd, registration, revents);
        }
        let Some(watched) = self.watched.get_mut(fd as usize) else { return };
        watched.armed = 0;
        if revents & libc::POLLNVAL != 0 {
            // No descriptor, or of no use. (epoll says so when it is armed.)
            self.waiters.fail_all(&mut watched.lines, -libc::EBADF, &mut self.settled);
        }
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

    /// What a registration has to say, whether somebody waits or not.
    fn reported_by(&mut self, fd: RawFd, number: u32, revents: i16) {
        if self.watched(fd).is_some() && self.hear_of(fd, number) {
            self.watched[fd as usize].ready.0 |= revents;
            self.try_all(fd, revents);
        }
    }

    /// Those who wait for descriptors that are not registered any more are armed for.
    fn adopt_orphans(&mut self) {
        while let Some(fd) = self.selector.registrar().and_then(|it| it.take_orphan()) {
            let Some(watched) = self.watched.get_mut(fd as usize) else { continue };
            if !watched.lines.is_empty() {
                watched.adopt(0);
                self.arm(fd);
            }
        }
    }

    fn join(&mut self, id: u64, waits_for: operation::Readiness, what: What) {
        self.waiters.join(&mut self.watched[waits_for.fd as usize].lines, waits_for, id, what);
        self.arm(waits_for.fd);
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

static AWAITED: operation::Class = operation::Class::new();

impl<S: Selector> Backend for Readiness<S> {
    unsafe fn submit(&mut self, id: u64, op: *const RawOp, tried: bool) -> bool {
        // SAFETY: by contract.
        let what = unsafe { RawOp::what(op) };
        let Some(waits_for) = what.waits_for() else { return false };
        if self.watched(waits_for.fd).is_none() {
            self.settled.push((id, -libc::EBADF));
            return true;
        }
        // SAFETY: by contract.
        if self.is_registered(waits_for.fd, unsafe { (*op).registration }) {
            self.submit_registered(id, op, waits_for);
            return true;
        }
        let resting = self.rests.is_resting(waits_for.fd as u64);
        let watched = &self.watched[waits_for.fd as usize];
        let line = waits_for.line;
        // SAFETY: by contract.
        let attempt = || unsafe { what.first_attempt(resting) };
        if (line.barges || !tried && !watched.lines.wait_in(line))
            && let Some(result) = attempt()
        {
            self.settled.push((id, result));
        } else {
            self.join(id, waits_for, What::Operation(op));
        }
        true
    }

    unsafe fn await_readiness(&mut self, id: u64, fd: RawFd, events: i16) {
        if self.watched(fd).is_none() {
            self.settled.push((id, -libc::EBADF));
            return;
        }
        if self.is_registered(fd, 0)
            && let Some(result) = told_now(fd, events)
        {
            self.settled.push((id, result));
            return;
        }
        let line = operation::Line::new(&AWAITED, i32::from(events));
        self.join(id, operation::Readiness { fd, interest: events, line }, What::Readiness(events));
    }

    unsafe fn cancel(&mut self, id: u64, op: *const RawOp) {
        // SAFETY: by contract.
        let waits_for = unsafe { RawOp::what(op) }.waits_for();
        let Some(fd) = waits_for.map(|it| it.fd).filter(|fd| *fd >= 0) else { return };
        let Some(watched) = self.watched.get_mut(fd as usize) else { return };
        let Some(gone) = self.waiters.leave(&mut watched.lines, id) else { return };
        if watched.lines.is_empty() && watched.registration == 0 {
            // While the descriptor is still open: another may have its number next, and this file live on elsewhere.
            self.selector.disarm(fd);
            watched.armed = 0;
            self.rests.forget(fd as u64);
        }
        // What has arrived by now is delivered, as the kernel itself would have done.
        let arrived = match gone {
            // SAFETY: the request has not been reported, so by `submit`'s contract all is still valid.
            What::Operation(op) => unsafe { RawOp::what(op).last_attempt() },
            What::Readiness(_) => None,
        };
        self.settled.push((id, arrived.unwrap_or(-libc::ECANCELED)));
    }

    fn poll(&mut self, timeout: Option<Duration>, done: &mut Vec<Done>) -> io::Result<()> {
        let timeout = if self.settled.is_empty() { timeout } else { Some(Duration::ZERO) };
        let mut ready = std::mem::take(&mut self.ready);
        let waited = self.selector.wait(timeout, &mut ready);
        for report in ready.drain(..) {
            self.reported(report);
        }
        self.ready = ready;
        // (After the wait: who makes one ends it.)
        self.adopt_orphans();
        self.end_rests();
        done.append(&mut self.settled);
        waited
    }

    fn take_settled(&mut self, done: &mut Vec<Done>) {
        done.append(&mut self.settled);
    }

    fn flush(&mut self) -> bool {
        self.settled.is_empty()
    }

    fn fail(&mut self, errno: i32, done: &mut Vec<Done>) -> bool {
        self.selector.lose();
        self.rests = Rests::default();
        for watched in &mut self.watched {
            self.waiters.fail_all(&mut watched.lines, -errno, &mut self.settled);
        }
        done.append(&mut self.settled);
        false
    }

    fn due(&self) -> Option<Instant> {
        self.rests.next()
    }

    fn registrar(&self) -> Option<Arc<Registrar>> {
        self.selector.registrar().cloned()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.selector.as_fd()
    }
}
