//! Those who wait in `get_event`, and what is ready for them.
//!
//! One of them at a time leads: it drives the port and sleeps in the kernel. The others follow: they sleep until
//! somebody hands them an event or the lead. Each completed event wakes one follower, never all. A leader that leaves
//! with an event promotes one. While a pool serves the channel nobody leads, and all follow.

use crate::blocker::{self, Unparker, Waited};
use crate::event::Event;
use crate::lock::{Mutex, MutexGuard, has_room, make_room};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A number that the calling task has for itself, or the thread where there is none. Not 0.
#[inline(never)]
pub(crate) fn caller_number() -> u64 {
    // (Its address is even.)
    thread_local!(static HERE: u64 = const { 0 });
    match blocker::installed().map_or(0, |blocker| blocker.task()) {
        0 => HERE.with(|here| std::ptr::from_ref(here).addr() as u64),
        task => task << 1 | 1,
    }
}

/// One follower, for one wait.
pub(crate) struct Follower {
    called: AtomicBool,
    unpark: Unparker,
}

impl Follower {
    pub(crate) fn new() -> Arc<Self> {
        let unpark = match blocker::current() {
            Some(b) => b.unparker(),
            None => {
                let thread = std::thread::current();
                Box::new(move || thread.unpark())
            }
        };
        Arc::new(Self { called: AtomicBool::new(false), unpark })
    }

    pub(crate) fn call(&self) {
        self.called.store(true, Ordering::Release);
        (self.unpark)();
    }

    /// Waits for the call.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Waited {
        let called = || self.called.load(Ordering::Acquire);
        if let Some(b) = blocker::current() {
            return b.wait(&called, deadline);
        }
        while !called() {
            match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Waited::Over,
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
        Waited::Called
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) queue: VecDeque<Event>,
    followers: VecDeque<Arc<Follower>>,
    /// Called, but not back yet: they will look at the queue, or lead.
    coming: usize,
    /// The task (or thread) that leads: see [`caller_number`].
    pub(crate) leader: Option<u64>,
    /// How many followers were called so far.
    pub(crate) calls: u64,
    /// A pool drives the ports: nobody leads.
    pub(crate) served: bool,
}

impl State {
    /// Joins the followers, for whom there is room.
    pub(crate) fn follow(&mut self, follower: Arc<Follower>) {
        self.followers.push_back(follower);
    }

    /// Comes back, called or not. A call that came with the deadline is not lost: the caller looks at the queue. (What it gives is to
    /// be dropped without the lock.)
    #[must_use = "to be dropped without the lock"]
    pub(crate) fn come_back(&mut self, follower: &Arc<Follower>) -> Option<Arc<Follower>> {
        let at = self.followers.iter().position(|w| Arc::ptr_eq(w, follower));
        if at.is_none() {
            self.coming -= 1;
        }
        at.and_then(|at| self.followers.remove(at))
    }

    pub(crate) fn waiting(&self) -> usize {
        self.followers.len()
    }

    /// Whom to call next: one for each ready event, and one to lead if nobody does; or everybody. To be asked each time the lock is
    /// about to be released, until there is nobody more.
    pub(crate) fn callee(&mut self, everybody: bool) -> Option<Arc<Follower>> {
        if !everybody && self.needed() == 0 {
            return None;
        }
        let follower = self.followers.pop_front()?;
        self.coming += 1;
        self.calls += 1;
        Some(follower)
    }

    /// Is there somebody more to call?
    pub(crate) fn calls_more(&self, everybody: bool) -> bool {
        !self.followers.is_empty() && (everybody || self.needed() > 0)
    }

    fn needed(&self) -> usize {
        let leads = usize::from(self.leader.is_none() && !self.served);
        (self.queue.len() + leads).saturating_sub(self.coming)
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
        if self.queue.front()?.0.has_handler() == with_handler { self.queue.pop_front() } else { None }
    }

    /// Is there room for one more follower?
    pub(crate) fn has_room_for_follower(&self) -> bool {
        has_room(&self.followers, 1)
    }
}
