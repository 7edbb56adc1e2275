//! How a worker parks, and what it does before: it yields, it spins, it sleeps in its port.

use crate::core::Core;
use crate::core::ready::Ready;
use crate::core::stats::bump;
use crate::sleep::idle::Woken;
use crate::sleep::policy::IdlePolicy;
use crate::worker::Worker;
use crate::worker::context::Context;
use crate::worker::trim::Trimming;
use ec_channel::Wait;
use ec_tasks::coarse;
use std::time::{Duration, Instant};

/// After so long a sleep the last tick of the coarse clock may be an old one. (It is the resolution of that clock.)
const LONG: Duration = Duration::from_millis(1);

impl Worker<'_> {
    /// Lets others have the CPU and looks again: once, or for a while, as the policy says.
    pub(super) fn yield_or_spin(&mut self) -> Option<Ready> {
        // What was posted is submitted here, or else by the system call that sleeps. (This may take a while, and those who
        // queue work rely on who is searching.)
        if !self.policy.yield_due() || self.stop_searching() {
            return None;
        }
        self.look_at_port(self.index);
        self.policy.looked_idle();
        if let Some(ready) = self.pop_own() {
            return Some(ready);
        }
        let began = Instant::now();
        let mut found = self.yield_and_glance();
        let (took, shared, context) = (began.elapsed(), self.shared, self.context);
        let spin = self.policy.yielded(
            took,
            found.is_some(),
            || shared.idle.others_sleep(),
            || wants_partner(context),
        );
        let Some(spin) = spin else { return found };
        while began.elapsed() < spin.0 && found.is_none() {
            if self.shared.queues.work_is_visible() {
                // Found before it sleeps. (It proves nothing.)
                return None;
            }
            found = self.yield_and_glance();
        }
        self.policy.spun(spin, found.is_some());
        found
    }

    pub(super) fn yield_and_glance(&mut self) -> Option<Ready> {
        std::thread::yield_now();
        self.glance();
        self.pop_own()
    }

    /// Parks: sleeps in the port of its core until something comes in there, or somebody wakes it.
    pub(super) fn park(&mut self) {
        let Worker { shared, index, .. } = *self;
        ec_tasks::worker_sleeps();
        // Before it shows as asleep: whoever sees it sleep sees it counted.
        bump(&shared.queues.stats[index].sleeps);
        // Before the look at the queues: what comes into the own one afterwards, from an allocator say, makes the pass return.
        let asleep = Asleep::new(self.context, index, self.searching.replace(false));
        let mut looked = true;
        let began = Instant::now();
        if !shared.queues.work_is_visible() && !shared.life.is_stopped() {
            let trimming = shared.trimmer.enter();
            let wait = trimming.as_ref().map_or(Wait::Forever, Trimming::wait);
            let driven = self.pass(|serving, out| serving.drive(index, wait, out));
            looked = self.note_trouble(index, driven).unwrap_or(true);
            self.policy.looked_idle();
        }
        let slept = began.elapsed();
        if slept >= LONG {
            // The monitor may have slept, too, or has not come to look yet.
            coarse::tick();
        }
        let woken = asleep.end();
        self.searching.set(woken == Woken::ByNotify);
        self.policy.woken(woken == Woken::AsPartner);
        self.unwatched = true;
        if self.publish() == 1
            && woken == Woken::ByPort
            && IdlePolicy::parked_briefly(slept)
            && wants_partner(self.context)
        {
            shared.call_partner();
        }
        if !looked {
            // A searching worker is looking at this port, for a moment.
            std::thread::yield_now();
        }
    }
}

fn wants_partner(context: &Context) -> bool {
    context.with_core(Core::wants_partner).unwrap_or(false)
}

/// Among the sleepers, until [`end`](Asleep::end). Also if that is a panic.
pub(crate) struct Asleep<'a> {
    context: &'a Context,
    index: usize,
}

impl<'a> Asleep<'a> {
    pub(crate) fn new(context: &'a Context, index: usize, searching: bool) -> Asleep<'a> {
        context.asleep.set(true);
        context.shared.idle.fall_asleep(index, searching);
        Asleep { context, index }
    }

    pub(crate) fn end(self) -> Woken {
        let woken = self.wake_up();
        std::mem::forget(self);
        woken
    }

    fn wake_up(&self) -> Woken {
        self.context.asleep.set(false);
        self.context.shared.idle.wake_up(self.index)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        if self.wake_up() == Woken::ByNotify {
            // It was counted as searching.
            self.context.shared.idle.end_search();
            self.context.shared.notify();
        }
    }
}
