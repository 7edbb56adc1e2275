//! Those who wait in `get_event`, and what is ready for them.
//!
//! One of them at a time leads: it drives the port and sleeps in the kernel. The others follow: they sleep until
//! somebody hands them an event or the lead. Each completed event wakes one follower, never all. A leader that leaves
//! with an event promotes one. While a pool serves the channel nobody leads, and all follow.

use crate::blocker::{self, Sleeper, Waited};
use crate::events::event::Event;
use crate::getting::seats::{Seat, Seats};
use crate::getting::tally::Tally;
use crate::line::{Line, Place};
use crate::lock::{Mutex, has_room, make_room};
use crate::queue::Queue;
use crate::sleeping::Sleeping;
use crossbeam::utils::Backoff;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Instant;
use std::vec;

/// Somebody who waits until he is called, for one wait: a follower, or a leader that sleeps outside of the ports.
pub(crate) struct Waiter {
    called: AtomicBool,
    who: Who,
}

enum Who {
    Task(Box<dyn Sleeper>),
    Thread(Thread),
}

impl Waiter {
    pub(crate) fn new() -> Arc<Self> {
        let who = match blocker::current() {
            Some(b) => Who::Task(b.sleeper()),
            None => Who::Thread(std::thread::current()),
        };
        Arc::new(Self { called: AtomicBool::new(false), who })
    }

    pub(crate) fn call(&self) {
        self.called.store(true, Ordering::Release);
        match &self.who {
            Who::Task(task) => task.wake(),
            Who::Thread(thread) => thread.unpark(),
        }
    }

    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    pub(crate) fn is_task(&self) -> bool {
        matches!(&self.who, Who::Task(_))
    }

    /// A task that never runs again.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(&self.who, Who::Task(task) if task.is_gone())
    }

    /// Waits for the call.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Waited {
        if let Some(b) = blocker::current() {
            return b.wait(&|| self.is_called(), deadline);
        }
        while !self.is_called() {
            match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Waited::Over,
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
        Waited::Called
    }
}

/// Who leads.
pub(crate) struct Leader {
    /// The task (or thread): see [`blocker::caller_number`].
    pub(crate) number: u64,
    /// It sleeps, is about to, or has just slept. (Also while it is called: another one may hear the bell in its place.)
    asleep: bool,
    /// While it sleeps outside of the ports, where their bells do not reach it for certain.
    pub(crate) outside: Option<Arc<Waiter>>,
}

impl Leader {
    #[inline(never)]
    fn is_gone(&self) -> bool {
        // (A task that runs is not gone: it sleeps nowhere else as a leader.)
        self.outside.as_ref().is_some_and(|waiter| waiter.is_gone())
    }
}

#[derive(Default)]
pub(crate) struct State {
    /// Those who follow. One that was called will look at the queue, or lead.
    followers: Line<Arc<Waiter>>,
    leader: Option<Leader>,
    /// How many followers were called so far.
    pub(crate) calls: u64,
    /// The most that were under way at once for one event: see [`ChannelMetrics::most_woken`](crate::ChannelMetrics::most_woken).
    pub(crate) most_called: u64,
    /// A pool drives the ports: nobody leads.
    pub(crate) served: bool,
}

impl State {
    /// Joins the followers, for whom there is room.
    pub(crate) fn follow(&mut self, follower: Arc<Waiter>) -> Place {
        self.followers.join(follower)
    }

    /// Comes back, called or not. A call that came with the deadline is not lost: the caller looks at the queue. (What it gives is to
    /// be dropped without the lock.)
    #[must_use = "to be dropped without the lock"]
    pub(crate) fn come_back(&mut self, place: Place, follower: &Arc<Waiter>) -> Option<Arc<Waiter>> {
        // (Of one that was taken for gone, and is not quite, the place may be another's by now.)
        self.followers.leave_if(place, |there| Arc::ptr_eq(there, follower))
    }

    /// The leader, if there is one that still can lead.
    #[inline]
    pub(crate) fn leader(&self) -> Option<&Leader> {
        self.leader.as_ref().filter(|leader| leader.outside.is_none() || !leader.is_gone())
    }

    /// The caller leads from now on. Who led before is gone; it is to be dropped without the lock.
    #[must_use = "to be dropped without the lock"]
    pub(crate) fn lead(&mut self, number: u64, asleep: bool) -> Option<Leader> {
        self.leader.replace(Leader { number, asleep, outside: None })
    }

    /// The leader of this number sleeps outside of the ports. False: it leads no more.
    pub(crate) fn goes_outside(&mut self, number: u64, waiter: &Arc<Waiter>) -> bool {
        let leader = self.leader.as_mut().filter(|leader| leader.number == number);
        leader.is_some_and(|leader| leader.outside.replace(waiter.clone()).is_none())
    }

    /// The leader of this number is back from there.
    #[must_use = "to be dropped without the lock"]
    pub(crate) fn comes_inside(&mut self, number: u64) -> Option<Arc<Waiter>> {
        self.leader.as_mut().filter(|leader| leader.number == number)?.outside.take()
    }

    /// Does the leader of this number still lead?
    pub(crate) fn leads(&self, number: u64) -> bool {
        !self.served && self.leader.as_ref().is_some_and(|leader| leader.number == number)
    }

    /// The leader of this number is about to sleep, or does so no more.
    pub(crate) fn leader_sleeps(&mut self, number: u64, asleep: bool) {
        if let Some(leader) = self.leader.as_mut().filter(|leader| leader.number == number) {
            leader.asleep = asleep;
        }
    }

    /// The leader of this number, which is not outside, leads no more. (If it was taken for gone, another one leads by now.)
    pub(crate) fn stop_leading(&mut self, number: u64) {
        if self.leader.as_ref().is_some_and(|leader| leader.number == number && leader.outside.is_none()) {
            self.leader = None;
        }
    }

    /// Whom to call next, while so many are `ready`: one for each, and one to lead if nobody does; or everybody. To be asked each time the
    /// lock is about to be released, until there is nobody more. (One that is gone may be among them: its call does nothing, and it counts
    /// as called no longer.)
    #[inline]
    pub(crate) fn callee(&mut self, ready: usize, everybody: bool) -> Option<Arc<Waiter>> {
        if self.calls_more(ready, everybody) { self.call_first((!everybody).then_some(ready)) } else { None }
    }

    /// `ready`: so many events are, if it is for them that the first is called (or to lead).
    #[inline(never)]
    fn call_first(&mut self, ready: Option<usize>) -> Option<Arc<Waiter>> {
        let (place, follower) = self.followers.first()?;
        let follower = follower.clone();
        if follower.is_gone() {
            // (The other pointer is the caller's, who drops it without the lock.)
            drop(self.followers.leave(place));
        } else {
            self.followers.call(place);
            self.calls += 1;
            if let Some(ready) = ready {
                let for_one = self.followers.called().saturating_sub(ready.saturating_sub(1));
                self.most_called = self.most_called.max(for_one as u64);
            }
        }
        Some(follower)
    }

    /// One that was called and is gone, taken out: what it was called for is another's. Those up to the place `after` were looked at.
    #[must_use = "to be dropped without the lock"]
    pub(crate) fn take_gone(&mut self, after: &mut Option<Place>) -> Option<Arc<Waiter>> {
        *after = self.followers.find_called(*after, |waiter| waiter.is_gone());
        self.followers.leave((*after)?)
    }

    /// Is there somebody more to call?
    #[inline]
    pub(crate) fn calls_more(&self, ready: usize, everybody: bool) -> bool {
        self.followers.queued() > 0 && (everybody || self.needed(ready) > 0)
    }

    fn needed(&self, ready: usize) -> usize {
        let leads = usize::from(self.leader().is_none() && !self.served);
        (ready + leads).saturating_sub(self.followers.called())
    }

    /// Is there room for one more follower?
    pub(crate) fn has_room_for_follower(&self) -> bool {
        has_room(&self.followers, 1)
    }

    /// How many follow, those who were called among them.
    pub(crate) fn following(&self) -> usize {
        self.followers.queued() + self.followers.called()
    }

    /// How many are to be called when something becomes ready.
    fn asleep(&self) -> usize {
        self.followers.queued() + usize::from(self.leader.as_ref().is_some_and(|leader| leader.asleep))
    }
}

/// What is ready, and who waits for it.
///
/// Whoever makes something ready puts it into a queue without a lock, and then looks whether anybody is asleep. Whoever is about to sleep
/// says so, under the lock, and then looks into the queue again. So one of the two sees the other: see [`Sleeping`].
#[derive(Default)]
pub(crate) struct Waiting {
    /// Complete, for whoever comes first.
    ready: Queue<Event>,
    /// Complete, for handlers that a getter calls.
    calls: Queue<Event>,
    /// Whose turn it is if there are both.
    calls_turn: AtomicBool,
    pub(crate) state: Mutex<State>,
    /// See [`State::asleep`].
    sleeping: Sleeping,
    /// Whether to look again before one sleeps has been of use.
    pays: AtomicU32,
    /// How often a leader was called out of the kernel.
    pub(crate) rung: AtomicU64,
    pub(crate) tally: Tally,
    /// For what is for all who wait.
    pub(crate) seats: Seats,
}

/// So many events are taken by one getter between two looks at the ports, at most: who posts again what he gets must not starve timers and
/// sockets.
const LOOK_EVERY: u64 = 64;

/// Looking again pays for as long as it did at least in one case of so many; then it is tried only every so often.
const PAYS: u32 = 8;
const TRY_EVERY: u32 = 32;

impl Waiting {
    /// It is complete. ([`wake`](crate::getting::shared::Shared::wake) is to follow.)
    #[inline]
    pub(crate) fn push(&self, event: Event) {
        if event.0.has_handler() { self.calls.push(event) } else { self.ready.push(event) }
    }

    /// As [`push`](Self::push), for the first `many` of them, which have no handler.
    #[inline]
    pub(crate) fn push_all(&self, events: &mut vec::IntoIter<Event>, many: usize) {
        self.ready.push_all(events, many);
    }

    /// An event that nobody is called for.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Event> {
        self.ready.pop()
    }

    /// As [`pop`](Self::pop), up to `max` of those that lie together. Gives how many.
    #[inline]
    pub(crate) fn pop_all(&self, max: usize, take: impl FnMut(Event)) -> usize {
        self.ready.pop_all(max, take)
    }

    /// An event whose handler is to be called, if it is the turn of one.
    #[inline]
    pub(crate) fn pop_call(&self) -> Option<Event> {
        if self.calls.is_empty() || !self.ready.is_empty() && !self.calls_turn.fetch_not(Ordering::Relaxed) {
            return None;
        }
        self.calls.pop()
    }

    /// How many are ready that nobody is called for.
    #[inline]
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// How many are ready.
    pub(crate) fn len(&self) -> usize {
        self.ready.len() + self.calls.len()
    }

    /// How many handlers are to be called.
    #[inline]
    pub(crate) fn calls(&self) -> usize {
        if self.calls.is_empty() { 0 } else { self.calls.len() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.calls.is_empty()
    }

    /// Something was made ready: is anybody to be called for it?
    #[inline]
    pub(crate) fn somebody_sleeps(&self) -> bool {
        self.sleeping.anybody()
    }

    /// To be called under the lock, when somebody is about to sleep, or does no more. What is looked at next shows what has become ready
    /// before.
    pub(crate) fn tell_who_sleeps(&self, state: &State) {
        self.sleeping.tell(state.asleep());
    }

    /// Is somebody to look at the ports first, although events are ready? (Nobody does: a leader would, or a pool.)
    #[inline]
    pub(crate) fn look_is_due(&self) -> bool {
        self.tally.look_is_due(LOOK_EVERY)
    }

    /// Looks again for a moment, before a thread goes to sleep in this seat. True: something is ready. (It would not sleep anyway if
    /// something `is_left` to do in a port; and that is not to wait.)
    pub(crate) fn look_again(&self, seat: &Seat<'_>, is_left: impl FnOnce() -> bool) -> bool {
        let pays = self.pays.fetch_add(1, Ordering::Relaxed);
        if pays >= PAYS && !pays.is_multiple_of(TRY_EVERY) || is_left() {
            return false;
        }
        let backoff = Backoff::new();
        let found = || !self.is_empty() || seat.has_some();
        while !found() && !backoff.is_completed() {
            backoff.snooze();
        }
        let found = found();
        if found {
            self.pays.store(0, Ordering::Relaxed);
        }
        found
    }

    /// Makes room for one more follower. (Another one may take it meanwhile.)
    pub(crate) fn make_room_for_follower(&self) {
        make_room(&self.state, |s| &mut s.followers, 1);
    }
}
