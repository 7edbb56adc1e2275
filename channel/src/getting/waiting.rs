//! Those who wait in `get_event`, and what is ready for them.
//!
//! One of them at a time leads: it drives the port and sleeps in the kernel. The others follow: they sleep until
//! somebody hands them an event or the lead. Each completed event wakes one follower, never all. A leader that leaves
//! with an event promotes one. While a pool serves the channel nobody leads, and all follow.

use crate::blocker::{self, Sleeper, Waited};
use crate::events::event::Event;
use crate::line::{Line, Place};
use crate::lock::{Mutex, MutexGuard, has_room, make_room};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Instant;

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

/// So many events are taken between two looks at the ports, at most: who posts again what he gets must not starve timers and sockets.
const LOOK_EVERY: usize = 64;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) queue: VecDeque<Event>,
    /// Those who follow. One that was called will look at the queue, or lead.
    followers: Line<Arc<Waiter>>,
    leader: Option<Leader>,
    /// How many events were taken since somebody began to look at the ports.
    taken: usize,
    /// How many followers were called so far.
    pub(crate) calls: u64,
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

    /// How many wait, the leader among them. One that is gone does not.
    pub(crate) fn waiting(&self) -> usize {
        let following = self.followers.iter().filter(|waiter| !waiter.is_gone());
        following.count() + usize::from(self.leader().is_some())
    }

    /// The leader, if there is one that still can lead.
    #[inline]
    pub(crate) fn leader(&self) -> Option<&Leader> {
        self.leader.as_ref().filter(|leader| leader.outside.is_none() || !leader.is_gone())
    }

    /// The caller leads from now on. Who led before is gone; it is to be dropped without the lock.
    #[must_use = "to be dropped without the lock"]
    pub(crate) fn lead(&mut self, number: u64) -> Option<Leader> {
        self.taken = 0;
        self.leader.replace(Leader { number, outside: None })
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

    /// The leader of this number, which is not outside, leads no more. (If it was taken for gone, another one leads by now.)
    pub(crate) fn stop_leading(&mut self, number: u64) {
        if self.leader.as_ref().is_some_and(|leader| leader.number == number && leader.outside.is_none()) {
            self.leader = None;
        }
    }

    /// Whom to call next: one for each ready event, and one to lead if nobody does; or everybody. To be asked each time the lock is
    /// about to be released, until there is nobody more. (One that is gone may be among them: its call does nothing, and it counts as
    /// called no longer.)
    #[inline]
    pub(crate) fn callee(&mut self, everybody: bool) -> Option<Arc<Waiter>> {
        if self.calls_more(everybody) { self.call_first() } else { None }
    }

    #[inline(never)]
    fn call_first(&mut self) -> Option<Arc<Waiter>> {
        let (place, follower) = self.followers.first()?;
        let follower = follower.clone();
        if follower.is_gone() {
            // (The other pointer is the caller's, who drops it without the lock.)
            drop(self.followers.leave(place));
        } else {
            self.followers.call(place);
            self.calls += 1;
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
    pub(crate) fn calls_more(&self, everybody: bool) -> bool {
        self.followers.queued() > 0 && (everybody || self.needed() > 0)
    }

    fn needed(&self) -> usize {
        let leads = usize::from(self.leader().is_none() && !self.served);
        (self.queue.len() + leads).saturating_sub(self.followers.called())
    }
}

#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) state: Mutex<State>,
}

impl Waiting {
    /// Locks it at a moment when there is room for so many events more.
    pub(crate) fn lock_for_events(&self, events: usize) -> MutexGuard<'_, State> {
        loop {
            let s = self.state.lock();
            if has_room(&s.queue, events) {
                return s;
            }
            drop(s);
            make_room(&self.state, |s| &mut s.queue, events);
        }
    }

    /// Makes room for one more follower. (Another one may take it meanwhile.)
    pub(crate) fn make_room_for_follower(&self) {
        make_room(&self.state, |s| &mut s.followers, 1);
    }
}

impl State {
    /// The first event that is ready, if it has a handler or has none, as asked.
    pub(crate) fn pop_event(&mut self, with_handler: bool) -> Option<Event> {
        if self.queue.front()?.0.has_handler() != with_handler {
            return None;
        }
        self.taken += 1;
        self.queue.pop_front()
    }

    /// Is somebody to look at the ports first, although events are ready? (Nobody does: a leader would, or a pool.)
    pub(crate) fn look_is_due(&self) -> bool {
        !self.served && self.taken >= LOOK_EVERY && self.leader().is_none()
    }

    /// Is there room for one more follower?
    pub(crate) fn has_room_for_follower(&self) -> bool {
        has_room(&self.followers, 1)
    }
}
