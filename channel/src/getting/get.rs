//! Getting events: who takes, who leads, who follows.
//!
//! A caller of `get_event` does the first of these that it can:
//!
//! 1. It takes what is ready.
//! 2. If nobody leads, it leads. It makes a pass of the port, asleep in the kernel if need be, and puts what completed
//!    into the queue.
//! 3. It follows.
//!
//! Nothing that is ready starves the rest: if nobody leads, every so many events a caller makes a pass before it takes one.
//!
//! Whoever releases the lock calls followers: those for whom there is something, and one to lead if nobody does. So a
//! leader that leaves with an event leaves no port unwatched.

#![allow(unsafe_code)]

use crate::blocker::{self, Waited};
use crate::events::event::Event;
use crate::fork;
use crate::getting::handler::HandlerCall;
use crate::getting::serve::{Completion, Completions};
use crate::getting::shared::{EventChannel, forked_error, shut_down_error};
use crate::getting::waiting::Waiter;
use crate::line::Place;
use crate::ports::flight::Finished;
use crate::ports::{OutsideSleep, Wait};
use crate::sys::errno;
use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where events go that are taken.
pub(crate) trait Sink {
    fn put(&mut self, event: Event);
}

impl Sink for Vec<Event> {
    fn put(&mut self, event: Event) {
        self.push(event);
    }
}

impl Sink for Option<Event> {
    fn put(&mut self, event: Event) {
        *self = Some(event);
    }
}

impl EventChannel {
    /// One that is ready, if there is nothing else to be done before.
    #[inline]
    pub(crate) fn next_at_once(&self) -> Option<Event> {
        let waiting = &self.0.waiting;
        if waiting.look_is_due() || waiting.calls() > 0 || blocker::current().is_some() || fork::is_child() {
            return None;
        }
        let event = waiting.pop()?;
        self.taken(1);
        self.tell_if_ended();
        Some(event)
    }

    /// If that was the last, everybody is to know.
    #[inline]
    fn tell_if_ended(&self) {
        if self.is_shut_down() && self.ended() {
            self.release(self.0.waiting.state.lock());
        }
    }

    pub(crate) fn next(&self, out: &mut impl Sink, max: usize, wait: Wait) -> io::Result<usize> {
        if fork::is_child() {
            return Err(forked_error());
        }
        let waiting = &self.0.waiting;
        let deadline = match wait {
            Wait::For(d) => Instant::now().checked_add(d),
            _ => None,
        };
        let over = || wait == Wait::No || deadline.is_some_and(|d| d <= Instant::now());
        // The cancellation points of a task that waits: before it begins, and each time that nothing was found.
        let points = blocker::current().filter(|_| wait != Wait::No);
        let checkpoint = || points.map_or(Ok(()), |b| b.checkpoint());
        checkpoint()?;
        let mut asked = true;
        let mut last = false;
        // A thread looks again before it sleeps. (A task does not sleep: it lets others run.)
        let is_thread = blocker::current().is_none();
        let mut looks = is_thread;
        // So many handlers are called before the next look at the port, or at the time: each may make another one ready.
        let mut calls = waiting.calls();
        // Kept until what it has brought is taken: nobody is called for that.
        let mut lead: Option<Lead<'_>> = None;
        let mut hands_on = HandsOn { channel: self, is_due: false };
        loop {
            if waiting.look_is_due() {
                waiting.tally.looks();
                if let Some(lead) = Lead::take(self, false) {
                    // (What goes wrong here goes wrong again when there is nothing to take: it is told then.)
                    let _ = self.lead(&lead, Wait::No, out, 0, &mut hands_on.is_due);
                }
            }
            if calls > 0
                && let Some(event) = waiting.pop_call()
            {
                self.taken(1);
                drop(lead.take());
                HandlerCall::new(event, self.clone()).run();
                if fork::is_child() {
                    // By the handler: who held a lock at that moment is not here.
                    return Err(forked_error());
                }
                self.tell_if_ended();
                (calls, asked) = (calls - 1, false);
                continue;
            }
            let n = self.take(out, max);
            if n > 0 || last {
                drop(lead);
                self.tell_if_ended();
                return if n == 0 && self.ended() { Err(shut_down_error()) } else { Ok(n) };
            }
            if self.ended() {
                drop(lead);
                self.release(waiting.state.lock());
                return Err(shut_down_error());
            }
            if points.is_some() && !asked {
                // There is no event to return, so none is lost by giving up.
                asked = true;
                if let Err(error) = checkpoint() {
                    drop(lead);
                    return Err(error);
                }
                continue;
            }
            if looks && lead.is_none() && waiting.is_empty() && !over() && waiting.look_again() {
                (looks, calls) = (false, waiting.calls());
                continue;
            }
            let left = match deadline {
                _ if !waiting.is_empty() => Wait::No,
                Some(d) => Wait::For(d.saturating_duration_since(Instant::now())),
                None => wait,
            };
            // (A task does not sleep in a port, if it can wait for a descriptor.)
            let sleeps = (is_thread || !self.0.ports[0].has_descriptor()) && left != Wait::No;
            lead = lead.filter(|lead| lead.goes_on(sleeps)).or_else(|| Lead::take(self, sleeps));
            let outcome = match &lead {
                Some(leader) => match self.lead(leader, left, out, max, &mut hands_on.is_due) {
                    Ok((waited, 0)) => interrupted(waited),
                    Ok((_, n)) => {
                        self.taken(n);
                        drop(lead);
                        self.tell_if_ended();
                        return Ok(n);
                    }
                    Err(error) => Err(error),
                },
                None if waiting.is_empty() && !over() => self.follow(deadline, &mut hands_on.is_due),
                None => Ok(false),
            };
            match outcome {
                Ok(interrupted) => {
                    (last, calls) = (over() && !interrupted, waiting.calls());
                    (asked, looks) = (false, is_thread);
                }
                Err(error) => {
                    drop(lead);
                    return Err(error);
                }
            }
        }
    }

    /// Takes up to `max` events that are ready.
    fn take(&self, out: &mut impl Sink, max: usize) -> usize {
        let mut n = 0;
        while n < max
            && let Some(event) = self.0.waiting.pop()
        {
            out.put(event);
            n += 1;
        }
        if n > 0 {
            self.taken(n);
        }
        n
    }

    /// Waits to be called, behind a leader or while a pool drives the ports. `Ok(true)`: the task is to give up.
    fn follow(&self, deadline: Option<Instant>, hands_on: &mut bool) -> io::Result<bool> {
        let waiting = &self.0.waiting;
        let s = waiting.state.lock();
        let leader = s.leader().map(|leader| leader.number);
        let room = s.has_room_for_follower();
        drop(s);
        self.refuse_to_wait_for_itself(leader)?;
        // What it takes is allocated without the lock; so look again.
        let follower = Waiter::new();
        self.list_for_tasks();
        if !room {
            waiting.make_room_for_follower();
        }
        let mut s = waiting.state.lock();
        if !s.has_room_for_follower() || !(s.leader().is_some() || s.served) || self.ended() {
            // (Not dropped under the lock.)
            drop(s);
            drop(follower);
            return Ok(false);
        }
        let place = s.follow(follower.clone());
        let may_sleep = self.0.may_sleep(&s);
        drop(s);
        *hands_on = true;
        let mut following = Following { channel: self, follower: Some((place, follower)) };
        let waited = if may_sleep { interrupted(following.wait(deadline)) } else { Ok(false) };
        following.come_back();
        waited
    }

    /// Fails if the caller is an allocator, say, that is called while this very thread (or task) drives the channel.
    fn refuse_to_wait_for_itself(&self, leader: Option<u64>) -> io::Result<()> {
        let here = blocker::caller_number();
        if leader == Some(here) || self.0.ports.iter().any(|port| port.is_driven_by(here)) {
            let what = "this thread drives the event channel already: it would wait for itself";
            return Err(io::Error::new(io::ErrorKind::Deadlock, what));
        }
        Ok(())
    }

    /// One pass as the leader: what completes is put into the queue.
    fn lead(
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
        let mut result =
            self.pass(0, if plain && lead.may_sleep.get() { wait } else { Wait::No }, &mut batch);
        for p in &busy {
            result = result.and(self.pass(*p, Wait::No, &mut batch));
        }
        let mut waited = Waited::Called;
        if result.is_ok() && batch.finished.is_empty() && !plain && wait != Wait::No {
            waited = self.sleep_outside(lead.number, &busy, wait, hands_on);
        }
        // Whatever else went wrong, what is complete is handed on. (Whoever gives the lead back calls others for it.)
        let (waiting, mut n) = (&self.0.waiting, 0);
        for it in batch.finished.drain(..) {
            match it {
                // (It need not queue for itself.)
                Finished::Event(event) if n < max && !event.0.has_handler() && waiting.is_empty() => {
                    out.put(event);
                    n += 1;
                }
                Finished::Event(event) => waiting.push(event),
                Finished::Raw(raw) => batch.ready.push(Completion::Raw(raw)),
            }
        }
        drop(batch);
        // (An error will come again.)
        if n > 0 { Ok((waited, n)) } else { result.map(|()| (waited, 0)) }
    }

    /// Waits for the ports' descriptors instead of in a port: as a task, or for several ports at once.
    fn sleep_outside(&self, number: u64, busy: &[usize], wait: Wait, hands_on: &mut bool) -> Waited {
        let outside = Outside { channel: self, number, waiter: Waiter::new() };
        self.list_for_tasks();
        let mut s = self.0.waiting.state.lock();
        // From here on others may hear the bells of the ports: a pool that begins to serve the channel calls.
        if s.served || !s.goes_outside(number, &outside.waiter) {
            return Waited::Called;
        }
        *hands_on = true;
        s.leader_sleeps(number, true);
        if !self.0.may_sleep(&s) {
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
                let ms = span.as_millis() as i32 + 1;
                // SAFETY: the array lives through the call.
                let n = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, ms) };
                match if n < 0 { errno() } else { 0 } {
                    0 | libc::EINTR => Waited::Called,
                    errno => Waited::Refused(errno),
                }
            }
        }
    }

    /// One pass of a port; whatever it finishes is appended. Another driver is waited for.
    fn pass(&self, port: usize, wait: Wait, batch: &mut Completions) -> io::Result<()> {
        match self.0.ports[port].begin_pass() {
            Some(mut pass) => pass.drive(wait, &mut batch.finished),
            None => {
                // Somebody who was told to stop driving is still on the way out.
                std::thread::yield_now();
                Ok(())
            }
        }
    }
}

/// Is the task that has waited to give up?
fn interrupted(waited: Waited) -> io::Result<bool> {
    match waited {
        Waited::Called | Waited::Over => Ok(false),
        Waited::Interrupted => Ok(true),
        Waited::Refused(errno) => {
            let error = io::Error::from_raw_os_error(errno);
            Err(io::Error::new(error.kind(), format!("the event channel cannot be waited for: {error}")))
        }
    }
}

/// So long at most one sleeps who cannot wait for all that may happen at once.
const SLICE: Duration = Duration::from_millis(10);

/// Among the followers, also if the wait panics.
struct Following<'a> {
    channel: &'a EventChannel,
    /// `None`: it has come back.
    follower: Option<(Place, Arc<Waiter>)>,
}

impl Following<'_> {
    fn wait(&self, deadline: Option<Instant>) -> Waited {
        self.follower.as_ref().map_or(Waited::Called, |(_, follower)| follower.wait(deadline))
    }

    fn come_back(&mut self) {
        if let Some((place, follower)) = self.follower.take() {
            let waiting = &self.channel.0.waiting;
            let mut s = waiting.state.lock();
            let mine = s.come_back(place, &follower);
            waiting.tell_who_sleeps(&s);
            // Not under the lock.
            drop(s);
            drop((mine, follower));
        }
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        if self.follower.is_some() {
            self.come_back();
            self.channel.release(self.channel.0.waiting.state.lock());
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
        // Not under the lock.
        drop(s);
        drop(mine);
    }
}

/// The lead, given back also when driving panics.
struct Lead<'a> {
    channel: &'a EventChannel,
    number: u64,
    /// It has said that it is about to sleep, and there was nothing to do afterwards.
    may_sleep: Cell<bool>,
}

impl<'a> Lead<'a> {
    /// `sleeps`: the caller is about to sleep. `None`: somebody else leads, or a pool drives the ports.
    fn take(channel: &'a EventChannel, sleeps: bool) -> Option<Self> {
        let number = blocker::caller_number();
        let mut state = channel.0.waiting.state.lock();
        if state.leader().is_some() || state.served {
            return None;
        }
        let gone = state.lead(number, sleeps);
        let may_sleep = sleeps && channel.0.may_sleep(&state);
        drop(state);
        drop(gone);
        Some(Self { channel, number, may_sleep: Cell::new(may_sleep) })
    }

    /// Is it still the caller's, who is about to sleep (or is not)?
    fn goes_on(&self, sleeps: bool) -> bool {
        let mut state = self.channel.0.waiting.state.lock();
        let leads = state.leads(self.number);
        if leads {
            state.leader_sleeps(self.number, sleeps);
            self.may_sleep.set(sleeps && self.channel.0.may_sleep(&state));
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

/// Whoever has followed, or led outside, calls others when it leaves. It may have been called to lead, and does not; or it has heard a
/// call that was for the next leader.
struct HandsOn<'a> {
    channel: &'a EventChannel,
    is_due: bool,
}

impl Drop for HandsOn<'_> {
    fn drop(&mut self) {
        if self.is_due && !fork::is_child() {
            self.channel.release(self.channel.0.waiting.state.lock());
        }
    }
}
