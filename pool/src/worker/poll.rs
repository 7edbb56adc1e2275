//! How a worker looks at a port, and publishes what it brings before anything of it runs.

use crate::core::Core;
use crate::worker::Worker;
use ec_channel::{Completions, Serving, Wait};
use log::Level;
use std::io;
use std::time::Duration;

impl Worker<'_> {
    /// One pass of port `port`; what it brings is queued.
    pub(super) fn look_at_port(&mut self, port: usize) {
        let looked = self.pass(|serving, out| serving.drive(port, Wait::No, out));
        self.looked_at(port, looked);
    }

    /// The same of the own port, cheaper, when nothing else is at hand.
    pub(super) fn glance(&mut self) {
        let port = self.index;
        let looked = self.pass(|serving, out| serving.glance(port, out));
        self.looked_at(port, looked);
    }

    pub(super) fn looked_at(&mut self, port: usize, looked: io::Result<bool>) {
        self.publish();
        self.note_trouble(port, looked);
    }

    /// What came of a pass, unless that failed.
    pub(super) fn note_trouble<T>(&self, port: usize, looked: io::Result<T>) -> Option<T> {
        let note = |error| {
            let line = || format!("port {port} of the event channel: {error}");
            self.shared.size.notifier.log(Level::Error, module_path!(), line);
            // Not in a tight circle, should it not go away.
            std::thread::sleep(Duration::from_millis(1));
        };
        looked.map_err(note).ok()
    }

    pub(super) fn pass<R>(&mut self, look: impl FnOnce(&Serving, &mut Completions) -> R) -> R {
        let Worker { out, context, shared, .. } = self;
        // What a pass hands to getters is queued here, too.
        context.publishing(|| look(&shared.serving, out))
    }

    /// Queues a reaped batch before anything of it runs, and returns how much waits then. This worker runs one of it
    /// itself, so a batch of one wakes nobody.
    pub(super) fn publish(&mut self) -> usize {
        let Worker { out, context, shared, .. } = self;
        context.publishing(|| {
            out.drain().for_each(|completion| shared.deliver(completion));
        });
        let waiting = self.context.with_core(Core::note_message).unwrap_or(0);
        if waiting > 1 {
            self.shared.notify();
        }
        waiting
    }
}
