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

use crate::blocker::{self, Waited};
use crate::events::event::Event;
use crate::fork;
use crate::getting::handler::HandlerCall;
use crate::getting::lead::Lead;
use crate::getting::seats::Seat;
use crate::getting::shared::{EventChannel, forked_error};
use crate::getting::waiting::Waiter;
use crate::line::Place;
use crate::ports::{Port, Wait};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Where events go that are taken. Whoever has them there has fetched them.
pub(crate) trait Sink {
    fn put(&mut self, event: Event);
}

impl Sink for Vec<Event> {
    #[inline]
    fn put(&mut self, event: Event) {
        self.push(event);
        // (In place: an event is not copied for it.)
        if let Some(event) = self.last_mut() {
            event.0.taken_out();
        }
    }
}

impl Sink for Option<Event> {
    #[inline]
    fn put(&mut self, event: Event) {
        self.insert(event).0.taken_out();
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
        let mut event = waiting.pop();
        if let Some(event) = &mut event {
            event.0.taken_out();
            self.taken(1);
            self.tell_if_ended();
        }
        event
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
        let sits = Sits { channel: self, seat: Seat::new(&self.0.waiting.seats) };
        let result = self.next_in(&sits.seat, out, max, wait);
        if !matches!(result, Ok(1..))
            && let Some(laid) = sits.seat.rise()
        {
            // (An error that comes while it still sits comes again.)
            return Ok(self.put_laid(laid, out));
        }
        result
    }

    /// What lay on its seat.
    fn put_laid(&self, laid: Event, out: &mut impl Sink) -> usize {
        out.put(laid);
        self.taken(1);
        self.tell_if_ended();
        1
    }

    /// One that stands leaves its seat, and has something else: a copy that lies there was not for it.
    fn leave_standing(&self, seat: &Seat<'_>) {
        if let Some(copy) = seat.rise() {
            self.0.waiting.tally.unused(1);
            drop(copy);
            // For a moment it looked as if one more were to come: whoever looked just then waits for it.
            self.tell_if_ended();
        }
    }

    fn next_in(&self, seat: &Seat<'_>, out: &mut impl Sink, max: usize, wait: Wait) -> io::Result<usize> {
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
        let mut collected = false;
        // A thread looks again before it sleeps. (A task does not sleep: it lets others run.)
        let is_thread = blocker::current().is_none();
        let mut looks = is_thread;
        // So many handlers are called before the next look at the port, or at the time: each may make another one ready.
        let mut calls = waiting.calls();
        let mut hands_on = HandsOn { channel: self, is_due: false };
        // Kept until what it has brought is taken: nobody is called for that. (Given back first.)
        let mut lead: Option<Lead<'_>> = None;
        loop {
            if waiting.look_is_due() {
                waiting.tally.looks();
                if let Some(lead) = Lead::take(self, seat, false) {
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
            let n = self.take(seat, out, max);
            if n > 0 || last {
                self.tell_if_ended();
                return if n == 0 && self.ended() { Err(self.end_error()) } else { Ok(n) };
            }
            if self.ended() {
                if !std::mem::replace(&mut collected, true) && self.is_broken() {
                    // What was posted at that very moment comes back, too, and what the kernel has given back since.
                    lead = lead.or_else(|| Lead::take(self, seat, false));
                    if let Some(lead) = &lead {
                        let _ = self.lead(lead, Wait::No, out, 0, &mut hands_on.is_due);
                    }
                    continue;
                }
                self.release(waiting.state.lock());
                return Err(self.end_error());
            }
            if points.is_some() && !asked {
                // There is no event to return, so none is lost by giving up.
                asked = true;
                if let Some(laid) = seat.stand_up() {
                    return Ok(self.put_laid(laid, out));
                }
                if let Err(error) = checkpoint() {
                    // (It is not told again: so the call is over by now.)
                    self.leave_standing(seat);
                    return Err(error);
                }
                continue;
            }
            if wait != Wait::No
                && !over()
                && let Some(laid) = seat.sit()
            {
                return Ok(self.put_laid(laid, out));
            }
            let is_left = || self.0.ports.iter().any(Port::has_post);
            if looks && lead.is_none() && waiting.is_empty() && !over() && waiting.look_again(seat, is_left) {
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
            lead = lead.filter(|lead| lead.goes_on(sleeps)).or_else(|| Lead::take(self, seat, sleeps));
            let outcome = match &lead {
                Some(leader) => match self.lead(leader, left, out, max, &mut hands_on.is_due) {
                    Ok((waited, 0)) => interrupted(waited),
                    Ok((_, n)) => {
                        self.taken(n);
                        self.tell_if_ended();
                        return Ok(n);
                    }
                    Err(error) => Err(error),
                },
                None if waiting.is_empty() && !over() => self.follow(seat, deadline, &mut hands_on.is_due),
                None => Ok(false),
            };
            let interrupted = outcome?;
            (last, calls) = (over() && !interrupted, waiting.calls());
            (asked, looks) = (false, is_thread);
        }
    }

    /// Takes up to `max` events that are ready; of what becomes so meanwhile one at most: others may post faster than this takes.
    fn take(&self, seat: &Seat<'_>, out: &mut impl Sink, max: usize) -> usize {
        let waiting = &self.0.waiting;
        // (None that is on its seat is left behind.)
        if seat.is_taken() {
            if waiting.is_empty() && !seat.has_some() {
                return 0;
            }
            if let Some(laid) = seat.stand_up() {
                return self.put_laid(laid, out);
            }
        }
        let max = if max > 1 { max.min(waiting.ready().max(1)) } else { max };
        let mut n = 0;
        while n < max {
            match waiting.pop_all(max - n, |event| out.put(event)) {
                0 => break,
                more => n += more,
            }
        }
        if n > 0 {
            self.taken(n);
        }
        n
    }

    /// Waits to be called, behind a leader or while a pool drives the ports. `Ok(true)`: the task is to give up.
    fn follow(&self, seat: &Seat<'_>, deadline: Option<Instant>, hands_on: &mut bool) -> io::Result<bool> {
        let waiting = &self.0.waiting;
        let s = waiting.state.lock();
        let leader = s.leader().map(|leader| leader.number);
        let room = s.has_room_for_follower();
        drop(s);
        self.refuse_to_wait_for_itself(leader)?;
        // What it takes is allocated without the lock; so look again.
        let follower = Waiter::new();
        seat.sleeps(&follower);
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
        let may_sleep = self.0.may_sleep(&s, seat);
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

/// In its seat, or about to be. If it still sits there when this is dropped its wait has panicked: what lies there is for the next one.
struct Sits<'a> {
    channel: &'a EventChannel,
    seat: Seat<'a>,
}

impl Drop for Sits<'_> {
    fn drop(&mut self) {
        if self.seat.stands() {
            self.channel.leave_standing(&self.seat);
        } else if let Some(laid) = self.seat.rise() {
            self.channel.0.waiting.push(laid);
            self.channel.0.wake();
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    /// It has stood up for an event, and has that. So what was laid on its seat meanwhile was not for it: it is nobody's, and the channel ends
    /// when those for whom it was have taken theirs.
    #[test]
    fn a_copy_for_one_that_has_something_else_counts_no_more() {
        let channel = EventChannel::new().unwrap();
        let waiting = &channel.0.waiting;
        let [stands, sits] = [(); 2].map(|()| Sits { channel: &channel, seat: Seat::new(&waiting.seats) });
        assert!(stands.seat.sit().is_none() && sits.seat.sit().is_none());
        assert!(stands.seat.stand_up().is_none());
        channel.post(Request::notification().wake_all()).unwrap();
        assert_eq!(channel.metrics().posted, 2);
        let laid = sits.seat.rise().unwrap();
        channel.put_laid(laid, &mut None);
        channel.shutdown();
        assert!(!channel.ended());
        drop((sits, stands));
        assert!(channel.ended() && waiting.is_empty() && !waiting.seats.any_laid());
        assert_eq!(channel.metrics().posted, 1);
    }
}
