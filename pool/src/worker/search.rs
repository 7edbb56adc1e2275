//! Where a worker finds what it runs: its own queue, the injector, the queues of other cores, and the ports of those that are too busy
//! to look at them.

use crate::core::ready::Ready;
use crate::core::run_queue::share;
use crate::core::stats::bump;
use crate::worker::Worker;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Worker<'_> {
    pub(super) fn pop_own(&mut self) -> Option<Ready> {
        let Worker { context, shared, turn, .. } = self;
        context.with_core(|core| core.pop(turn, shared.queues.admits())).flatten()
    }

    pub(super) fn take_injected(&self) -> Option<Ready> {
        if self.shared.queues.injector.is_empty() {
            return None;
        }
        let Worker { context, shared, .. } = self;
        context
            .with_core(|core| {
                core.enqueue_batch(shared.queues.injector.pop_batch(share), shared.queues.admits())
            })
            .flatten()
    }

    /// Where migration is forced, what the others have to leave to this worker.
    pub(super) fn take_forced(&self) -> Option<Ready> {
        self.shared.forced.as_ref()?.take(self.context.worker.info.number).map(Ready::task)
    }

    /// The queues of the others, then the ports of those who are too busy to look at them.
    pub(super) fn search(&mut self) -> Option<Ready> {
        if !self.searching.get() && !self.shared.idle.begin_search() {
            return None;
        }
        self.searching.set(true);
        let cores = self.shared.queues.cores();
        self.victim = (self.victim + 1) % cores;
        let (first, own) = (self.victim, self.index);
        let others = (0..cores).map(|i| (first + i) % cores).filter(|&other| other != own);
        for other in others.clone() {
            let stealer = &self.shared.queues.stealers[other];
            let admit = self.shared.queues.admits();
            if let Some(ready) = self.context.with_core(|core| core.steal_from(stealer, admit)).flatten() {
                bump(&self.shared.queues.stats[self.index].steals);
                return Some(ready);
            }
        }
        for other in others {
            if self.seen[other].1 {
                self.look_at_port(other);
                if let Some(ready) = self.pop_own() {
                    return Some(ready);
                }
            }
        }
        self.take_injected()
    }

    /// Is there a queue to take from, or a port that its worker does not look at because it stays in one run?
    pub(super) fn anything_elsewhere(&mut self) -> bool {
        let Worker { shared, index, seen, .. } = self;
        let mut any = shared.queues.work_is_visible() || shared.forced.is_some();
        for (other, (seen, stuck)) in seen.iter_mut().enumerate() {
            let stats = &shared.queues.stats[other];
            let runs = stats.runs.load(Ordering::Relaxed);
            *stuck = other != *index && stats.in_user_code.load(Ordering::Relaxed) && *seen == runs;
            *seen = runs;
            any |= *stuck;
        }
        any
    }

    /// Counts as searching no more. True if there is work to be seen: those who queued it meanwhile relied on this worker.
    pub(super) fn stop_searching(&self) -> bool {
        if !self.searching.replace(false) {
            return false;
        }
        self.shared.idle.end_search();
        self.shared.queues.work_is_visible()
    }

    /// Goes on searching for a while, if it was woken to do so. (Not with `sched_yield`: the CPU is to be seen busy.)
    pub(super) fn search_as_partner(&mut self) -> Option<Ready> {
        let span = self.policy.spins_as_partner()?;
        let began = Instant::now();
        while began.elapsed() < span && !self.shared.life.is_stopped() {
            // In full: what is posted meanwhile is to be submitted.
            self.look_at_port(self.index);
            let found = self.pop_own().or_else(|| self.take_forced());
            let found =
                found.or_else(|| self.shared.queues.work_is_visible().then(|| self.search()).flatten());
            if found.is_some() {
                return found;
            }
            // Nobody is to rely on it, for it may lose the CPU.
            self.stop_searching();
            std::hint::spin_loop();
        }
        None
    }
}
