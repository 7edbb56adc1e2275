//! A pool, as what keeps its size sees it.

use crate::core::Core;
use crate::core::queues::Queues;
use crate::lifecycle::Lifecycle;
use crate::size::events::{Listener, PoolEvent};
use crate::size::monitor_thread::MonitorThread;
use crate::size::notifier::Notifier;
use crate::size::threads::Threads;
use crate::sleep::idle::Idle;
use ec_channel::Completions;
use ec_tasks::Scheduler;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What the builder was told about the threads.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_threads: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) listener: Listener,
}

/// See the module.
pub(crate) trait Host: Scheduler + Sized + 'static {
    fn limits(&self) -> &Limits;
    fn threads(&self) -> &Threads;
    fn monitor(&self) -> &MonitorThread;
    fn notifier(&self) -> &Notifier;
    fn told_of_barrier(&self) -> &AtomicBool;
    fn queues(&self) -> &Queues;
    fn idle(&self) -> &Idle;
    fn life(&self) -> &Lifecycle;
    /// The counted pointer to itself; there is one while anybody can call this.
    fn counted(&self) -> Option<Arc<Self>>;
    /// What has arrived at the port of a core that is held up goes where others find it.
    ///
    /// # Errors
    /// The port's.
    fn look_after_port(&self, core: usize, out: &mut Completions) -> io::Result<()>;
    /// Everybody up: there is something to see for each.
    fn wake_all(&self);
    /// Starts a worker thread, which holds `core`, or else waits for one.
    ///
    /// # Errors
    /// What the operating system says.
    fn start_thread(self: &Arc<Self>, core: Option<Core>) -> io::Result<()>;

    /// Tells the listener, if there is one, by way of the notifier.
    fn tell(&self, event: impl FnOnce() -> PoolEvent) {
        self.notifier().tell(&self.limits().listener, event);
    }
}
