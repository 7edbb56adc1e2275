//! Leading: one of those who get drives the ports, asleep in the kernel if need be.
//!
//! A thread sleeps in the port. A task cannot, and nobody can sleep in several: they lead *outside*, and wait for descriptors.

#![allow(unsafe_code)]

use crate::blocker::{self, Waited};
use crate::fork;
use crate::getting::get::Sink;
use crate::getting::seats::Seat;
use crate::getting::serve::{Completion, Completions};
use crate::getting::shared::EventChannel;
use crate::getting::waiting::Waiter;
use crate::ports::flight::Finished;
use crate::ports::{OutsideSleep, Wait};
use crate::sys;
use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So long at most one sleeps who cannot wait for all that may happen at once.
const SLICE: Duration = Duration::from_millis(10);

/// The lead, given back also when driving panics.
pub(super) struct Lead<'a> {
    channel: &'a EventChannel,
    seat: &'a Seat<'a>,
    number: u64,
    /// It has said that it is about to sleep, and there was nothing to do afterwards.
    may_sleep: Cell<bool>,
}

impl<'a> Lead<'a> {
    /// `sleeps`: the caller is about to sleep. `None`: somebody else leads, or a pool drives the ports.
    pub(super) fn take(channel: &'a EventChannel, seat: &'a Seat<'a>, sleeps: bool) -> Option<Self> {
        let number = blocker::caller_number();
        let mut state = channel.0.waiting.state.lock();
        if state.leader().is_some() || state.served {
            return None;
        }
        let gone = state.lead(number, sleeps);
        let may_sleep = sleeps && channel.0.may_sleep(&state, seat);
        drop(state);
        drop(gone);
        Some(Self { channel, seat, number, may_sleep: Cell::new(may_sleep) })
    }

    /// Is it still the caller's, who is about to sleep (or is not)?
    pub(super) fn goes_on(&self, sleeps: bool) -> bool {
        let mut state = self.channel.0.waiting.state.lock();
        let leads = state.leads(self.number);
        if leads {
            state.leader_sleeps(self.number, sleeps);
            self.may_sleep.set(sleeps && self.channel.0.may_sleep(&state, self.seat));
        }
        leads
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if fork::is_child() {
            // (Who held the lock may not be here.)
            return;
        }
        let mut state = self.channel.0.waiting.state.lock();
        state.stop_leading(self.number);
        self.channel.release(state);
    }
}

impl EventChannel {
    /// One pass as the leader: what completes is put into the queue.
    pub(super) fn lead(
        &self,
        lead: &Lead<'_>,
        wait: Wait,
        out: &mut impl Sink,
        max: usize,
        hands_on: &mut bool,
    ) -> io::Result<(Waited, usize)> {
        let mut batch = Completions::new();
        let busy: Vec<usize> = (1..self.ports()).filter(|&p| self.0.ports[p].is_busy()).collect();
        // Who waits for several ports, or is a task, sleeps outside of them; or, where there is no descriptor to wait for, in the first,
        // and looks up every now and then.
        let alone = busy.is_empty() && blocker::current().is_none();
        let plain = alone || !self.0.ports[0].has_descriptor();
        let wait = match wait {
            Wait::For(d) if plain && !alone => Wait::For(d.min(SLICE)),
            Wait::Forever if plain && !alone => Wait::For(SLICE),
            wait => wait,
        };
        let (mut came, mut n) = (false, 0);
        // Whatever else goes wrong, what is complete is handed on. (Whoever gives the lead back calls others for it.)
        let mut hand_on = |batch: &mut Completions| {
            came |= !batch.finished.is_empty();
            self.hand_on(lead.seat, batch, out, max, &mut n);
        };
        let first = if plain && lead.may_sleep.get() { wait } else { Wait::No };
        let mut result = self.pass(0, first, &mut batch, &mut hand_on).map_err(|error| (0, error));
        for p in &busy {
            let passed = self.pass(*p, Wait::No, &mut batch, &mut hand_on);
            result = result.and(passed.map_err(|error| (*p, error)));
        }
        let mut waited = Waited::Called;
        if result.is_ok() && !came && !plain && wait != Wait::No {
            waited = self.sleep_outside(lead, &busy, wait, hands_on);
        }
        drop(batch);
        if let Err((port, error)) = &result {
            self.has_failed(*port, error);
        }
        match result {
            // (An error will come again.)
            Err((_, error)) if n == 0 => Err(if self.is_broken() { self.end_error() } else { error }),
            _ => Ok((waited, n)),
        }
    }

    /// What a pass has brought: up to `max` events go to the caller, the others are queued.
    fn hand_on(
        &self,
        seat: &Seat<'_>,
        batch: &mut Completions,
        out: &mut impl Sink,
        max: usize,
        n: &mut usize,
    ) {
        let waiting = &self.0.waiting;
        for it in batch.finished.drain(..) {
            if let Finished::Event(event) = &it {
                self.has_come(event);
            }
            // (It need not queue for itself.)
            let is_its_own = matches!(&it, Finished::Event(event) if *n < max && !event.0.has_handler())
                && waiting.is_empty();
            if is_its_own && let Some(laid) = seat.rise() {
                out.put(laid);
                *n += 1;
            }
            match it {
                Finished::Event(event) if is_its_own && *n < max => {
                    out.put(event);
                    *n += 1;
                }
                Finished::Event(event) => waiting.push(event),
                Finished::Raw(raw) => batch.ready.push(Completion::Raw(raw)),
            }
        }
    }

    /// Waits for the ports' descriptors instead of in a port: as a task, or for several ports at once.
    fn sleep_outside(&self, lead: &Lead<'_>, busy: &[usize], wait: Wait, hands_on: &mut bool) -> Waited {
        let number = lead.number;
        let outside = Outside { channel: self, number, waiter: Waiter::new() };
        lead.seat.sleeps(&outside.waiter);
        self.list_for_tasks();
        let mut s = self.0.waiting.state.lock();
        // From here on others may hear the bells of the ports: a pool that begins to serve the channel calls.
        if s.served || !s.goes_outside(number, &outside.waiter) {
            return Waited::Called;
        }
        *hands_on = true;
        s.leader_sleeps(number, true);
        if !self.0.may_sleep(&s, lead.seat) {
            // (What is dropped here looks again who sleeps.)
            drop(s);
            return Waited::Called;
        }
        if outside.waiter.is_gone() {
            // Its runtime has ended while it ran: another one leads.
            self.release(s);
        } else {
            drop(s);
        }
        self.sleep_as(&outside.waiter, busy, wait)
    }

    fn sleep_as(&self, waiter: &Waiter, busy: &[usize], wait: Wait) -> Waited {
        let mut timeout = match wait {
            Wait::For(d) => Some(d),
            _ => None,
        };
        let ports = std::iter::once(0).chain(busy.iter().copied());
        let mut sleeps: Vec<OutsideSleep<'_>> = Vec::with_capacity(1 + busy.len());
        for port in ports {
            let Some(sleep) = self.0.ports[port].begin_sleep() else { return Waited::Called };
            timeout = match (timeout, sleep.timer) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            sleeps.push(sleep);
        }
        // One waits for one descriptor, or for a call; with more of them it looks at the others every now and then.
        let slice = (sleeps.len() > 1).then_some(SLICE);
        match blocker::current() {
            Some(b) => {
                let span = timeout.map_or(slice, |t| Some(slice.map_or(t, |slice| t.min(slice))));
                let deadline = span.and_then(|t| Instant::now().checked_add(t));
                // SAFETY: the port keeps its descriptor open as long as the channel lives.
                let fd = unsafe { BorrowedFd::borrow_raw(sleeps[0].fd) };
                b.wait_readable_or_called(fd, &|| waiter.is_called(), deadline)
            }
            None => {
                let pollfd = |sleep: &OutsideSleep<'_>| libc::pollfd {
                    fd: sleep.fd,
                    events: libc::POLLIN,
                    revents: 0,
                };
                let mut fds: Vec<libc::pollfd> = sleeps.iter().map(pollfd).collect();
                // (A call does not end a poll(2).)
                let span = timeout.map_or(SLICE, |t| t.min(SLICE));
                match sys::poll(&mut fds, Some(span)) {
                    Ok(_) => Waited::Called,
                    Err(error) => Waited::Refused(error.raw_os_error().unwrap_or(libc::EINVAL)),
                }
            }
        }
    }

    /// One pass of a port; whatever it finishes is handed on. Another driver is waited for.
    fn pass(
        &self,
        port: usize,
        wait: Wait,
        batch: &mut Completions,
        hand_on: &mut impl FnMut(&mut Completions),
    ) -> io::Result<()> {
        match self.0.ports[port].begin_pass() {
            Some(mut pass) => {
                pass.exchange_memory(&mut batch.finished);
                let result = pass.drive(wait, &mut batch.finished);
                // (In the pass: what the next one brings comes behind it.)
                hand_on(batch);
                pass.exchange_memory(&mut batch.finished);
                result
            }
            None => {
                // Somebody who was told to stop driving is still on the way out.
                std::thread::yield_now();
                Ok(())
            }
        }
    }
}

/// A leader that sleeps outside of the ports, also if the wait panics.
struct Outside<'a> {
    channel: &'a EventChannel,
    number: u64,
    waiter: Arc<Waiter>,
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        let waiting = &self.channel.0.waiting;
        let mut s = waiting.state.lock();
        let mine = s.comes_inside(self.number);
        s.leader_sleeps(self.number, false);
        waiting.tell_who_sleeps(&s);
        let another_leads = mine.is_none() && waiting.seats.any_laid() && s.leader().is_some();
        // Not under the lock.
        drop(s);
        drop(mine);
        if another_leads {
            // (This one was taken for gone. It may have heard a call that was for what lies on the other one's seat.)
            self.channel.0.ports[0].waker().call();
        }
    }
}
