//! What a worker does before it parks, and how often it looks up from its run queue: one policy, which the worker asks.
//!
//! ```text
//!   its queue is empty ──► yield once ──► spin for a while ──► park in its port
//!                            │               │
//!                            └── found ──────┴──► work
//! ```
//! **To yield.** Whoever shares the CPU, a client or another worker, often brings the next completions as soon as it may run. Then
//! it is cheaper to yield (`sched_yield`) and to look again than to park and to be woken: to park for each small batch took a third
//! of a server's time where server and clients share the CPUs. Where nobody else wants the CPU a yield costs a microsecond, a
//! fraction of what a park costs. Beside somebody who computes it costs a time slice; so it is left out where it was in vain.
//!
//! **To spin.** Where the next completion comes within [`SPIN`], it is cheaper to look again and again for so long than to park: to
//! wake a CPU that sleeps takes as long, and both sides of a conversation pay it for each message. In a conversation a worker may
//! wake a partner instead: see [`Conversation`](crate::sleep::conversation::Conversation).

use crate::sleep::payoff::Payoff;
use crate::sleep::poll_interval::PollInterval;
use crate::sleep::tuning::{ALONE, BRIEF, KEPT, SPIN, SPIN_WITH_PARTNER};
use std::time::{Duration, Instant};

/// See the module. Of one worker, as long as it holds one core.
pub(crate) struct IdlePolicy {
    interval: PollInterval,
    /// Whether it pays to yield once.
    yields: Payoff,
    /// Whether it pays to spin.
    spins: Payoff,
    /// It was woken as a partner, and has neither found work nor parked since.
    is_partner: bool,
}

/// How long to spin; [`IdlePolicy::spun`] wants to know what came of it.
#[derive(Clone, Copy)]
pub(crate) struct Spin(pub(crate) Duration);

impl IdlePolicy {
    /// Of a worker that takes a core over.
    pub(crate) fn new(now: Instant) -> IdlePolicy {
        IdlePolicy {
            interval: PollInterval::due_at_once(now),
            yields: Payoff::default(),
            spins: Payoff::default(),
            is_partner: false,
        }
    }

    /// Called before each run: is it time to look at the port?
    #[inline]
    pub(crate) fn poll_due(&mut self) -> bool {
        self.interval.due()
    }

    /// It has.
    pub(crate) fn polled(&mut self, now: Instant) {
        self.interval.looked(now);
    }

    /// It has looked at its port, in full, because it had nothing to run. (A glance is no such look: it submits nothing.)
    pub(crate) fn looked_idle(&mut self) {
        self.interval.restart();
    }

    /// It is not idle any more, or parks.
    pub(crate) fn idle_ended(&mut self) {
        self.is_partner = false;
    }

    /// How long to spin as a partner, if it is one.
    pub(crate) fn spins_as_partner(&self) -> Option<Duration> {
        self.is_partner.then_some(SPIN)
    }

    /// Before it parks: is it worth a yield?
    pub(crate) fn yield_due(&mut self) -> bool {
        self.yields.due()
    }

    /// It has yielded, which took so long, and has found something or not. `None`: it parks, or has something to run.
    pub(crate) fn yielded(
        &mut self,
        took: Duration,
        found: bool,
        others_sleep: impl FnOnce() -> bool,
        wants_partner: impl FnOnce() -> bool,
    ) -> Option<Spin> {
        self.yields.record(took < KEPT);
        if found || took > ALONE || !others_sleep() || !self.spins.due() {
            return None;
        }
        Some(Spin(if wants_partner() { SPIN_WITH_PARTNER } else { SPIN }))
    }

    /// It has spun to the end, or until it found something.
    pub(crate) fn spun(&mut self, spin: Spin, found: bool) {
        // (The shorter one says nothing of it.)
        if spin.0 == SPIN {
            self.spins.record(found);
        }
    }

    /// It is awake after it has parked.
    pub(crate) fn woken(&mut self, as_partner: bool) {
        self.is_partner = as_partner;
    }

    /// Its port has woken it for a single message, after so long: is a partner to be woken, if the conversation wants one?
    pub(crate) fn parked_briefly(slept: Duration) -> bool {
        slept < BRIEF
    }
}
