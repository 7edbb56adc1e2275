//! The monitor's thread as the others have it: they start it, wake it, and end it.
//!
//! While all cores sleep it sleeps too, by the protocol of a port's alarm: a call is never lost, and makes it look once more
//! before it sleeps.

use crate::joining::join_until;
use crate::monitor::Monitor;
use crate::notifier::Notifier;
use crate::shared::Shared;
use ec_channel::Alarm;
use ec_tasks::lock::Mutex;
use log::Level;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Instant;

/// See the module.
pub(crate) struct Watchman {
    alarm: Alarm,
    thread: Mutex<Option<JoinHandle<()>>>,
    bell: OnceLock<Thread>,
    /// Says what it and the workers have to say.
    pub(crate) notifier: Notifier,
    /// It was told that the kernel refuses the barrier. (Here, since a monitor may have a successor.)
    pub(crate) told_of_barrier: AtomicBool,
}

impl Watchman {
    pub(crate) fn new() -> Watchman {
        Watchman {
            alarm: Alarm::new(),
            thread: Mutex::default(),
            bell: OnceLock::new(),
            notifier: Notifier::new(),
            told_of_barrier: AtomicBool::new(false),
        }
    }

    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
        let body = {
            let shared = shared.clone();
            move || {
                while ec_tasks::catch_quietly(|| Monitor::new(shared.clone()).run()).is_none() {
                    let line = || String::from("a panic reached the monitor of a pool; it goes on");
                    shared.watchman.notifier.log(Level::Error, module_path!(), line);
                }
                // (With the last reference to the pool goes its listener.)
                ec_tasks::drop_quietly(shared);
            }
        };
        let builder = std::thread::Builder::new().name(String::from("ec-monitor"));
        let thread = ec_tasks::start_thread(builder, body)?;
        let _ = shared.watchman.bell.set(thread.thread().clone());
        *shared.watchman.thread.lock() = Some(thread);
        Ok(())
    }

    /// A worker that slept is awake again.
    #[inline]
    pub(crate) fn wake(&self) {
        // Pairs with the one in `doze`: either this sees it asleep, or it sees that a core is awake.
        fence(Ordering::SeqCst);
        if self.alarm.call_if_asleep() {
            self.ring();
        }
    }

    /// It is to look now, and will not sleep before it has.
    pub(crate) fn call(&self) {
        // (Between two looks it naps, asleep or not.)
        let _ = self.alarm.call();
        self.ring();
    }

    #[cold]
    fn ring(&self) {
        if let Some(thread) = self.bell.get() {
            thread.unpark();
        }
    }

    /// The pool has been stopped: waits until the monitor has ended, for the last time at `last`. False: it has not.
    pub(crate) fn join(&self, last: Option<Instant>) -> bool {
        let thread = self.thread.lock().take();
        self.call();
        thread.is_none_or(|thread| join_until(thread, last))
    }

    /// Sleeps until it is called, unless a core is awake or somebody has called since the last sleep.
    pub(crate) fn doze(&self, shared: &Shared) {
        if !self.alarm.sleep() {
            return;
        }
        fence(Ordering::SeqCst);
        if shared.all_asleep() && !shared.life.is_stopped() {
            while self.alarm.is_asleep() {
                std::thread::park();
            }
        }
        // (The look that follows sees what a call was for.)
        self.alarm.awake();
    }
}
