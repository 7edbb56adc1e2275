//! Requests are carried out in `get_event` itself, in the order of their posting, one at a time: Qpid's form for plain clients.
//!
//! The first is attempted. If it would block, poll(2) waits for its descriptor, and for the bell. Those behind it wait for it. Timers and
//! notifications need no driver: they neither wait nor hold up anything. What can only be done blocking blocks the thread that gets
//! events; what may last for ever is ended after a moment, and begun anew after a rest.

#![allow(unsafe_code)]

use super::backend::{Backend, Done};
use super::rest::Pace;
use crate::operation::{Blocking, Caller, RawOp, Step, Steps};
use crate::sys::futex::End;
use crate::sys::{self, interrupt};
use crate::waker::Waker;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Direct {
    waker: Arc<Waker>,
    queue: VecDeque<Queued>,
    /// Settled outside `poll`, reported by the next.
    settled: Vec<Done>,
}

struct Queued {
    id: u64,
    op: *const RawOp,
    /// It has been attempted, and would block.
    begun: bool,
    pace: Pace,
    /// Its descriptor was ready in vain, and rests.
    rests: Option<Instant>,
    /// It goes by steps, and awaits this.
    awaits: Option<(RawFd, i16)>,
}

// SAFETY: the operations may be used from any thread, by the contract of `submit_raw`.
unsafe impl Send for Queued {}

impl Direct {
    pub(super) fn new(waker: Arc<Waker>) -> io::Result<Self> {
        waker.hang_pipe()?;
        Ok(Self { waker, queue: VecDeque::new(), settled: Vec::new() })
    }

    /// Waits for the bell, and for `(descriptor, events)`: what is ready of these.
    fn wait(&self, timeout: Option<Duration>, also: Option<(RawFd, i16)>) -> io::Result<i16> {
        let bell = libc::pollfd { fd: self.waker.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // (A negative number is left out.)
        let (fd, events) = also.unwrap_or((-1, 0));
        let mut asked = [bell, libc::pollfd { fd, events, revents: 0 }];
        if sys::poll(&mut asked, timeout)? == 0 {
            return Ok(0);
        }
        if asked[0].revents != 0 {
            self.waker.hush()?;
        }
        Ok(asked[1].revents)
    }

    /// The first is `it`, which may block. What lasts too long is begun anew after a rest.
    fn block(
        &mut self,
        it: &dyn Blocking,
        timeout: Option<Duration>,
        done: &mut Vec<Done>,
    ) -> io::Result<()> {
        let now = Instant::now();
        if let Some(first) = self.queue.front_mut()
            && first.rests.is_none_or(|until| until <= now)
        {
            // SAFETY: a request that waits has not been reported, so by `submit`'s contract all is still valid.
            match unsafe { it.call(&Briefly) } {
                NOT_YET => first.rests = Some(first.pace.rest(Instant::now())),
                result => self.settle(result, done),
            }
            return Ok(());
        }
        self.wait(timeout, None).map(drop)
    }

    /// The first is `it`, which goes by steps.
    fn steps(
        &mut self,
        it: &dyn Steps,
        blocking: Option<&dyn Blocking>,
        timeout: Option<Duration>,
        done: &mut Vec<Done>,
    ) -> io::Result<()> {
        let Some(first) = self.queue.front_mut() else { return Ok(()) };
        first.rests = first.rests.filter(|until| *until > Instant::now());
        if first.rests.is_some() {
            return self.wait(timeout, None).map(drop);
        }
        if let Some(awaits) = first.awaits {
            match self.wait(timeout, Some(awaits))? {
                0 => return Ok(()),
                revents if revents & libc::POLLNVAL != 0 => {
                    self.settle(-libc::EBADF, done);
                    return Ok(());
                }
                _ => {}
            }
        }
        // SAFETY: a request that waits has not been reported, so by `submit`'s contract all is still valid.
        let mut step = unsafe { it.step(None) };
        // (Once a pass: others have their turns, and what is given up is heard of.)
        if step == Step::Help {
            // SAFETY: as above.
            step = match blocking.map(|it| unsafe { it.call(&Briefly) }) {
                None => Step::Done(-libc::ENOSYS),
                Some(NOT_YET) => Step::Rest,
                // SAFETY: as above.
                result => unsafe { it.step(result) },
            };
        }
        let Some(first) = self.queue.front_mut() else { return Ok(()) };
        first.awaits = None;
        match step {
            Step::Done(result) => self.settle(result, done),
            Step::Await(fd, _) if fd < 0 => self.settle(-libc::EBADF, done),
            Step::Await(fd, events) => first.awaits = Some((fd, events)),
            Step::Help => {}
            Step::Rest => first.rests = Some(first.pace.rest(Instant::now())),
        }
        Ok(())
    }

    /// The first is settled with this.
    fn settle(&mut self, result: i32, done: &mut Vec<Done>) {
        if let Some(first) = self.queue.pop_front() {
            done.push((first.id, result));
        }
    }
}

/// No call gives this.
const NOT_YET: i32 = i32::MIN;

/// Whoever gets events makes calls himself, and ends them after a moment.
struct Briefly;

impl Caller for Briefly {
    fn at_length(&self, call: &mut dyn FnMut() -> i32) -> i32 {
        let ended = interrupt::briefly(|| match call() {
            result if result >= 0 => Ok(result),
            errno => Err(-errno),
        });
        match ended {
            Some(Ok(result)) => result,
            Some(Err(libc::EINTR)) => NOT_YET,
            Some(Err(errno)) => -errno,
            // (It waits, for as long as others wish, since nobody would end it.)
            None => call(),
        }
    }

    fn until(&self, ask: &mut dyn FnMut(&End) -> Option<i32>) -> i32 {
        let now = End::default();
        now.come();
        ask(&now).unwrap_or(NOT_YET)
    }
}

impl Backend for Direct {
    unsafe fn submit(&mut self, id: u64, op: *const RawOp, _tried: bool) -> bool {
        // SAFETY: by contract.
        if unsafe { RawOp::what(op) }.blocking().is_some_and(Blocking::is_for_helpers) {
            return false;
        }
        let pace = Pace::default();
        self.queue.push_back(Queued { id, op, begun: false, pace, rests: None, awaits: None });
        true
    }

    unsafe fn await_readiness(&mut self, id: u64, _fd: RawFd, _events: i16) {
        // (Nothing that is reported here asks for it.)
        self.settled.push((id, -libc::ECANCELED));
    }

    unsafe fn cancel(&mut self, id: u64, _op: *const RawOp) {
        let Some(at) = self.queue.iter().position(|it| it.id == id) else { return };
        let Some(gone) = self.queue.remove(at) else { return };
        // What has arrived by now is delivered.
        let arrived = match gone.begun {
            // SAFETY: the request has not been reported, so by `submit`'s contract all is still valid.
            true => unsafe { RawOp::what(gone.op).last_attempt() },
            false => None,
        };
        self.settled.push((id, arrived.unwrap_or(-libc::ECANCELED)));
    }

    fn poll(&mut self, timeout: Option<Duration>, done: &mut Vec<Done>) -> io::Result<()> {
        done.append(&mut self.settled);
        let timeout = if done.is_empty() { timeout } else { Some(Duration::ZERO) };
        let Some(first) = self.queue.front_mut() else { return self.wait(timeout, None).map(drop) };
        // SAFETY: a request that waits has not been reported, so by `submit`'s contract all is still valid.
        let what = unsafe { RawOp::what(first.op) };
        if let Some(it) = what.steps() {
            return self.steps(it, what.blocking(), timeout, done);
        }
        let Some(waits_for) = what.waits_for() else {
            return match what.blocking() {
                Some(it) => self.block(it, timeout, done),
                None => {
                    self.settle(-libc::ENOSYS, done);
                    Ok(())
                }
            };
        };
        if waits_for.fd < 0 {
            self.settle(-libc::EBADF, done);
            return Ok(());
        }
        if !std::mem::replace(&mut first.begun, true) {
            // SAFETY: as above. (Nobody else says whether it is ready.)
            if let Some(result) = unsafe { what.first_attempt(true) } {
                self.settle(result, done);
                return Ok(());
            }
        }
        let rests = first.rests.filter(|until| *until > Instant::now());
        first.rests = rests;
        let also = (waits_for.fd, waits_for.interest);
        let revents = self.wait(timeout, rests.is_none().then_some(also))?;
        if revents & libc::POLLNVAL != 0 {
            self.settle(-libc::EBADF, done);
        } else if revents != 0 {
            // SAFETY: as above.
            match unsafe { what.attempt(revents) } {
                Some(result) => self.settle(result, done),
                None => {
                    if let Some(first) = self.queue.front_mut() {
                        first.rests = Some(first.pace.rest(Instant::now()));
                    }
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> bool {
        self.settled.is_empty()
    }

    fn fail(&mut self, errno: i32, done: &mut Vec<Done>) -> bool {
        done.append(&mut self.settled);
        done.extend(self.queue.drain(..).map(|it| (it.id, -errno)));
        false
    }

    fn due(&self) -> Option<Instant> {
        self.queue.front()?.rests
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
