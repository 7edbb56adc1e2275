//! The workers' side of the pool's size: see [`Host`].

use crate::core::Core;
use crate::core::queues::Queues;
use crate::lifecycle::Lifecycle;
use crate::size::host::{Host, Limits};
use crate::size::monitor_thread::MonitorThread;
use crate::size::notifier::Notifier;
use crate::size::threads::Threads;
use crate::sleep::idle::Idle;
use crate::worker::shared::Shared;
use crate::worker::thread;
use ec_channel::{Completions, Wait};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

impl Host for Shared {
    fn limits(&self) -> &Limits {
        &self.size.limits
    }

    fn threads(&self) -> &Threads {
        &self.size.threads
    }

    fn monitor(&self) -> &MonitorThread {
        &self.size.monitor
    }

    fn notifier(&self) -> &Notifier {
        &self.size.notifier
    }

    fn told_of_barrier(&self) -> &AtomicBool {
        &self.size.told_of_barrier
    }

    fn queues(&self) -> &Queues {
        &self.queues
    }

    fn idle(&self) -> &Idle {
        &self.idle
    }

    fn life(&self) -> &Lifecycle {
        &self.life
    }

    fn counted(&self) -> Option<Arc<Self>> {
        self.arc()
    }

    fn look_after_port(&self, core: usize, out: &mut Completions) -> io::Result<()> {
        let looked = self.serving.drive(core, Wait::No, out);
        out.drain().for_each(|completion| self.deliver(completion));
        looked.map(|_| ())
    }

    fn wake_all(&self) {
        Shared::wake_all(self);
    }

    fn start_thread(self: &Arc<Self>, core: Option<Core>) -> io::Result<()> {
        let shared = self.clone();
        self.size.threads.start(&self.life, core, move |worker, holder, core| {
            let _ = ec_tasks::catch_quietly(|| thread::work(&shared, worker, holder, core));
            // (The last reference, perhaps: what is dropped may be the program's.)
            ec_tasks::drop_quietly(shared);
        })
    }
}
