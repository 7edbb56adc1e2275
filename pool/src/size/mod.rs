//! How many threads a pool has: who notices that one is blocked, who takes its core over, how many there may be, and who is told.
//!
//! What is kept of it is in [`Size`]. It reaches the pool whose size it is through [`Host`](host::Host).

mod admission;
mod barrier_refused;
pub(crate) mod events;
pub(crate) mod host;
pub(crate) mod kernel;
mod looks;
pub(crate) mod monitor;
pub(crate) mod monitor_thread;
pub(crate) mod notifier;
pub(crate) mod running;
pub(crate) mod spares;
pub(crate) mod threads;
mod view;

use crate::size::events::PoolEvent;
use crate::size::host::Limits;
use crate::size::monitor_thread::MonitorThread;
use crate::size::notifier::Notifier;
use crate::size::threads::Threads;
use std::sync::atomic::AtomicBool;

/// The threads of a pool, those that see to their number, and who is told of it.
pub(crate) struct Size {
    pub(crate) threads: Threads,
    pub(crate) monitor: MonitorThread,
    /// Says what they all have to say.
    pub(crate) notifier: Notifier,
    /// It was told that the kernel refuses the barrier. (Here, since a monitor may have a successor.)
    pub(crate) told_of_barrier: AtomicBool,
    /// With the listener, whose destructor is somebody's code: it goes when all the rest has gone.
    pub(crate) limits: Limits,
}

impl Size {
    pub(crate) fn new(cores: usize, limits: Limits) -> Size {
        Size {
            threads: Threads::new(cores, limits.max_threads),
            monitor: MonitorThread::new(),
            notifier: Notifier::new(),
            told_of_barrier: AtomicBool::new(false),
            limits,
        }
    }

    /// Tells the listener, if there is one, by way of the notifier.
    pub(crate) fn tell(&self, event: impl FnOnce() -> PoolEvent) {
        self.notifier.tell(&self.limits.listener, event);
    }
}
