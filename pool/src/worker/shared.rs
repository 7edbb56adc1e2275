//! What the workers of one pool share.

#![allow(unsafe_code)]

use crate::core::Core;
use crate::core::forced::Forced;
use crate::core::queues::Queues;
use crate::joining::Leaving;
use crate::lifecycle::Lifecycle;
use crate::size::Size;
use crate::size::host::Limits;
use crate::sleep::idle::Idle;
use crate::worker::trim::Trimmer;
use crossbeam::utils::CachePadded;
use ec_channel::{EventChannel, Serving};
use std::io;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::{Arc, Weak};

/// See the module. Tasks refer to it as their scheduler.
pub(crate) struct Shared {
    me: Weak<Shared>,
    pub(crate) channel: EventChannel,
    /// Getters of the channel do not drive its ports: the workers do.
    pub(crate) serving: Serving,
    pub(crate) queues: Queues,
    pub(crate) idle: CachePadded<Idle>,
    /// Set in tests that force migration.
    pub(crate) forced: Option<Forced>,
    pub(crate) life: Lifecycle,
    pub(crate) trimmer: Trimmer,
    /// The stack of a task that asks for no other, in bytes.
    pub(crate) stack_size: usize,
    /// What ends calls in sections; `None`: the process's choice.
    pub(crate) interrupt_signal: Option<i32>,
    /// Last: what the program has given is dropped with it.
    pub(crate) size: Size,
}

/// What the builder was told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) stack_size: usize,
    pub(crate) force_migration: bool,
    pub(crate) monitor: bool,
    pub(crate) interrupt_signal: Option<i32>,
    pub(crate) size: Limits,
}

impl Shared {
    /// # Errors
    /// The channel cannot be served.
    pub(crate) fn new(
        channel: EventChannel,
        cores: usize,
        settings: Settings,
    ) -> io::Result<(Arc<Shared>, Vec<Core>)> {
        let (own, stealers) = Core::all(cores);
        // SAFETY: there is a worker for each port as long as the pool lives, and what comes of a pass is delivered.
        let serving = unsafe { channel.serve() }?;
        let shared = Arc::new_cyclic(|me| Shared {
            me: me.clone(),
            serving,
            channel,
            queues: Queues::new(stealers),
            idle: CachePadded::new(Idle::new(cores)),
            forced: settings.force_migration.then(|| Forced::new(cores)).flatten(),
            life: Lifecycle::new(cores),
            trimmer: Trimmer::default(),
            size: Size::new(cores, settings.size),
            stack_size: settings.stack_size,
            interrupt_signal: settings.interrupt_signal,
        });
        Ok((shared, own))
    }

    /// The counted pointer to itself; there is one while anybody can call this.
    pub(crate) fn arc(&self) -> Option<Arc<Shared>> {
        self.me.upgrade()
    }

    /// Drops a reference. If it is the last, what the pool still holds of the program's (its listener, events that nobody has got) is
    /// dropped on a thread of its own. Without one it is leaked, rather than dropped here.
    pub(crate) fn go_elsewhere(self: Arc<Self>) -> Option<Leaving> {
        let last = ManuallyDrop::new(Arc::into_inner(self)?);
        let body = move || ec_tasks::drop_quietly(ManuallyDrop::into_inner(last));
        Leaving::start(body).ok()
    }

    /// Is there something of the program's that would be dropped with the pool?
    pub(crate) fn holds_foreign(&self) -> bool {
        self.size.limits.listener.is_there() || self.channel.holds_foreign()
    }

    /// What `ec_tasks::spawn_in` knows this pool by.
    pub(crate) fn identity(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// Wakes one sleeper if nobody is searching. Called after work was made visible.
    pub(crate) fn notify(&self) {
        if let Some(index) = self.idle.notify() {
            self.serving.wake_port(index);
        }
    }

    /// Wakes one sleeper as a partner if only the caller is awake.
    pub(crate) fn call_partner(&self) {
        if let Some(index) = self.idle.call_partner() {
            self.serving.wake_port(index);
        }
    }

    /// Everybody up: there is something to see for each.
    pub(crate) fn wake_all(&self) {
        (0..self.queues.cores()).for_each(|port| self.serving.wake_port(port));
    }
}
