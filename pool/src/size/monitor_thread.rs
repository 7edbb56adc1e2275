//! The monitor's thread, as others have it: they wake it, and end it.
//!
//! While all cores sleep it sleeps, too. It does so by the protocol of a port's alarm: no call is lost, and a call makes it look once
//! more before it sleeps.

use crate::joining::Leaving;
use ec_channel::Alarm;
use ec_tasks::lock::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{Ordering, fence};
use std::thread::{JoinHandle, Thread};

/// See the module.
pub(crate) struct MonitorThread {
    alarm: Alarm,
    thread: Mutex<Option<JoinHandle<()>>>,
    bell: OnceLock<Thread>,
}

impl MonitorThread {
    pub(crate) fn new() -> MonitorThread {
        MonitorThread { alarm: Alarm::new(), thread: Mutex::default(), bell: OnceLock::new() }
    }

    /// This is it.
    pub(crate) fn begins(&self, thread: JoinHandle<()>) {
        let _ = self.bell.set(thread.thread().clone());
        *self.thread.lock() = Some(thread);
    }

    /// A worker that slept is awake again, and is about to run something.
    #[inline]
    pub(crate) fn wake(&self) {
        // Pairs with the one in `sleep`: either this sees it asleep, or it sees that a core is awake.
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

    /// The pool has been stopped: the monitor is to end. Gives its thread, if it has one, once.
    pub(crate) fn leaves(&self) -> Option<Leaving> {
        let thread = self.thread.lock().take();
        self.call();
        thread.map(Leaving::new)
    }

    /// Sleeps until it is called, if it may (no core is awake) and nobody has called since the last sleep.
    pub(crate) fn sleep(&self, may_sleep: impl FnOnce() -> bool) {
        let Some(asleep) = self.alarm.sleep() else { return };
        fence(Ordering::SeqCst);
        if may_sleep() {
            while self.alarm.is_asleep() {
                std::thread::park();
            }
        }
        // (The look that follows sees what a call was for.)
        self.alarm.awake(asleep);
    }
}
