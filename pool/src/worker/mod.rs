//! The loop of a worker: an OS thread that holds a core and runs what is ready on it.
//!
//! ```text
//!        ┌─────────────────────────────────────────────────────────────────┐
//!        ▼                                                                 │
//!  every so many runs: look at the own port and at the injector            │
//!  own queue ─► injector ─► own port, a glance ─► search ─► yield, spin ─► park
//!      │                            (own port; steal; then the ports       │
//!      ▼                             of workers that stay in one run)      │
//!  run one task until it suspends, or one handler ─────────────────────────┘
//! ```
//!
//! "To look at the port" is [`Serving::drive`](ec_channel::Serving::drive): the function that a plain `get_event` loops in. A worker
//! also sleeps in it. What it brings is published to the run queue before anything of it runs (`poll.rs`). So a task that computes
//! for a second holds back nothing that came in with it: others can steal it.
//!
//! One that was woken as a partner (`sleep/conversation.rs`) repeats the glance and the search for 50 µs.
//!
//! Shutdown: workers leave when the lifecycle says "stopped". What is left in their queue goes into the injector.

mod balance;
pub(crate) mod context;
pub(crate) mod current;
mod host;
pub(crate) mod leftovers;
mod park;
mod poll;
pub(crate) mod run;
mod scheduler;
mod search;
pub(crate) mod shared;
pub(crate) mod thread;
mod trim;
mod user_code;

use crate::core::Turn;
use crate::core::ready::Ready;
use crate::sleep::policy::IdlePolicy;
use crate::worker::balance::Balance;
use crate::worker::context::Context;
use crate::worker::shared::Shared;
use crate::worker::user_code::UserCode;
use ec_channel::Completions;
use std::cell::Cell;
use std::time::Instant;

/// A worker thread while it holds a core.
pub(crate) struct Worker<'a> {
    context: &'a Context,
    shared: &'a Shared,
    index: usize,
    /// Counted as searching in `idle`.
    searching: &'a Cell<bool>,
    out: Completions,
    policy: IdlePolicy,
    /// It has slept, and the monitor may sleep still.
    unwatched: bool,
    turn: Turn,
    /// Of each core: which run its worker was in at the last look, and whether it still was at this one.
    seen: Vec<(u64, bool)>,
    balance: Balance,
    /// Whose queue to look at first; moves on, so that not all begin at the same one.
    victim: usize,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(context: &'a Context, index: usize, searching: &'a Cell<bool>) -> Worker<'a> {
        let (out, now) = (Completions::new(), Instant::now());
        Worker {
            context,
            shared: &context.shared,
            index,
            searching,
            out,
            policy: IdlePolicy::new(now),
            unwatched: false,
            turn: Turn::default(),
            seen: vec![(0, false); context.shared.queues.stats.len()],
            balance: Balance::new(&context.shared.queues, now),
            victim: index,
        }
    }

    /// Until the pool is stopped, or the core was handed over.
    pub(crate) fn run(&mut self) {
        while !self.shared.life.is_stopped() {
            match self.next() {
                Some(ready) => {
                    // Not for a wake-up that has nothing to run: a port's clock, say.
                    if std::mem::take(&mut self.unwatched) {
                        self.shared.size.monitor.wake();
                    }
                    if !self.run_one(ready) {
                        return;
                    }
                }
                None => self.park(),
            }
        }
    }

    fn next(&mut self) -> Option<Ready> {
        let found = self.find();
        self.policy.idle_ended();
        if found.is_some() && self.stop_searching() {
            self.shared.notify();
        }
        found
    }

    fn find(&mut self) -> Option<Ready> {
        if self.policy.poll_due() {
            self.look_at_port(self.index);
            let now = Instant::now();
            self.policy.polled(now);
            self.help_the_longest(now);
            if let Some(ready) = self.take_injected().or_else(|| self.take_forced()) {
                return Some(ready);
            }
        }
        let ready = self.pop_own().or_else(|| self.take_forced()).or_else(|| self.take_injected());
        if let Some(ready) = ready {
            return Some(ready);
        }
        self.glance();
        if let Some(ready) = self.pop_own().or_else(|| self.search_as_partner()) {
            return Some(ready);
        }
        if self.anything_elsewhere() {
            self.look_at_port(self.index);
            self.policy.looked_idle();
            let found = self.pop_own().or_else(|| self.search());
            if found.is_some() {
                return found;
            }
            // Others were quicker, and will be again. To fall asleep over it would make them wake this worker for each task.
        }
        self.yield_or_spin()
    }

    /// False: the core was handed over meanwhile.
    fn run_one(&mut self, mut ready: Ready) -> bool {
        if ready.has_blocked() {
            match self.lend_or_hold(ready) {
                Some(kept) => ready = kept,
                None => return true,
            }
        }
        let user_code = UserCode::new(self.context, &self.shared.queues.stats[self.index]);
        let again = run::run(self.context, ready);
        let has_core = user_code.end();
        if let Some(again) = again {
            self.yielded(again);
        }
        has_core
    }

    /// A task that has blocked its thread the last time goes to a spare one, if there is one, and waits if it is new tasks' turn.
    /// Gives it back otherwise.
    #[cold]
    fn lend_or_hold(&self, ready: Ready) -> Option<Ready> {
        // (Where migration is forced it is chosen already who runs it.)
        if self.shared.forced.is_some() {
            return Some(ready);
        }
        let ready = self.shared.queues.unless_held(ready)?;
        let Some(called) = self.shared.size.threads.spares.call() else { return Some(ready) };
        self.shared.size.threads.lend(called, ready);
        None
    }

    /// Behind all others. Nobody is woken: this worker comes to it, unless it has lost its core.
    fn yielded(&mut self, again: Ready) {
        let Worker { context, shared, turn, .. } = self;
        if shared.forced.is_some() {
            context.publishing(|| shared.make_ready(again));
            return;
        }
        let mut again = Some(again);
        context.with_core(|core| again.take().into_iter().for_each(|again| core.push_behind(again, turn)));
        if let Some(again) = again {
            shared.make_ready(again);
        }
    }
}
