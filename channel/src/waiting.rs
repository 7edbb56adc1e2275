//! Those who wait in `get_event`, and what is ready for them.
//!
//! One of them at a time leads: it drives the port and sleeps in the kernel. The others follow: they sleep until
//! somebody hands them an event or the lead. Each completed event wakes one, never all; a leader that leaves
//! with an event promotes one.

use crate::blocker::{self, Unparker, Waited};
use crate::event::Event;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// One follower, for one wait.
pub(crate) struct Waiter {
    called: AtomicBool,
    unpark: Unparker,
}

impl Waiter {
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

    /// Waits for the call. False: the task that waits is to give up.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let called = || self.called.load(Ordering::Acquire);
        if let Some(b) = blocker::current() {
            return b.wait(&called, deadline) != Waited::Interrupted;
        }
        while !called() {
            match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => break,
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
        true
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) queue: VecDeque<Event>,
    waiters: VecDeque<Arc<Waiter>>,
    /// Called, but not back yet: they will look at the queue, or lead.
    coming: usize,
    pub(crate) leader: bool,
    /// How many followers were called so far.
    pub(crate) calls: u64,
    /// A pool drives the ports: nobody leads.
    pub(crate) served: bool,
}

impl State {
    /// Joins the followers.
    pub(crate) fn follow(&mut self) -> Arc<Waiter> {
        let waiter = Waiter::new();
        self.waiters.push_back(waiter.clone());
        waiter
    }

    /// Comes back, called or not. A call that came with the deadline is not lost: the caller looks at the queue.
    pub(crate) fn come_back(&mut self, waiter: &Arc<Waiter>) {
        match self.waiters.iter().position(|w| Arc::ptr_eq(w, waiter)) {
            Some(at) => drop(self.waiters.remove(at)),
            None => self.coming -= 1,
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Whom to call now: one for each ready event, and one to lead if nobody does. To be asked each
    /// time the lock is about to be released.
    pub(crate) fn callees(&mut self) -> Callees {
        let leads = usize::from(!self.leader && !self.served);
        let n = (self.queue.len() + leads).saturating_sub(self.coming).min(self.waiters.len());
        self.coming += n;
        self.calls += n as u64;
        Callees(self.waiters.drain(..n).collect())
    }

    /// Everybody: the channel is shut down, or a notification is for all.
    pub(crate) fn all(&mut self) -> Callees {
        self.coming += self.waiters.len();
        self.calls += self.waiters.len() as u64;
        Callees(self.waiters.drain(..).collect())
    }
}

/// Followers to be called once the lock is released.
#[must_use = "who is not called sleeps on"]
pub(crate) struct Callees(Vec<Arc<Waiter>>);

impl Callees {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn call(self) {
        self.0.iter().for_each(|w| w.call());
    }
}

#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) state: Mutex<State>,
}
