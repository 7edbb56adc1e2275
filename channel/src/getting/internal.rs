//! Errors that are nobody's: the driver of a port has failed for good, and the channel cannot go on.
//!
//! Whoever drives the port finds that out. What the driver had has come back by then (`ports/flight/failed.rs`). The first to find it out
//! ends the channel, and tells the program, once.

use crate::drivers::Driver;
use crate::foreign::{self, quietly};
use crate::getting::shared::EventChannel;
use crate::ports::Port;
use crate::ports::flight::failed::lasting;
use crate::sys::end_process;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The channel cannot go on: the driver of one of its ports fails, and will not cease to. See
/// [`ChannelBuilder::on_internal_error`](crate::ChannelBuilder::on_internal_error).
///
/// An [`io::Error`] of [`get_event`](EventChannel::get_event) or [`post`](EventChannel::post) has it inside:
///
/// ```
/// use ec_channel::InternalError;
/// fn why(error: &std::io::Error) -> Option<&InternalError> {
///     error.get_ref()?.downcast_ref()
/// }
/// assert!(why(&std::io::Error::other("something else")).is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InternalError {
    driver: Driver,
    port: usize,
    errno: i32,
}

impl InternalError {
    /// The driver that has failed.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The number of the port that it belongs to.
    pub fn port(&self) -> usize {
        self.port
    }

    /// What the operating system said: `EBADF` if the driver's descriptor was closed, `EPERM` if its calls were forbidden, and so on.
    pub fn raw_os_error(&self) -> i32 {
        self.errno
    }
}

impl fmt::Display for InternalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (driver, port) = (self.driver, self.port);
        let error = io::Error::from_raw_os_error(self.errno);
        write!(f, "the driver {driver} of port {port} of an event channel has failed for good: {error}")
    }
}

impl std::error::Error for InternalError {}

impl From<InternalError> for io::Error {
    fn from(error: InternalError) -> Self {
        io::Error::new(io::Error::from_raw_os_error(error.errno).kind(), error)
    }
}

/// Whoever is told, if anybody.
#[derive(Clone, Default)]
pub(crate) struct Hook(Option<Arc<Told>>);

type Told = dyn Fn(&InternalError) + Send + Sync;

impl Hook {
    pub(crate) fn new(told: impl Fn(&InternalError) + Send + Sync + 'static) -> Self {
        Hook(Some(Arc::new(told)))
    }

    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    fn tell(&self, error: &InternalError) {
        if let Some(told) = &self.0
            && !foreign::call(|| told(error))
        {
            quietly!(error, "the hook for internal errors of an event channel panicked");
        }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let told = self.0.take();
        foreign::call(move || drop(told));
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_there() { "there" } else { "none" })
    }
}

impl EventChannel {
    pub(crate) fn is_broken(&self) -> bool {
        self.0.broken.get().is_some()
    }

    /// A pass of this port has failed. (Its lock is free again, and what came of it is where it belongs.)
    #[cold]
    pub(crate) fn has_failed(&self, port: usize, error: &io::Error) {
        let Some(errno) = lasting(error) else { return };
        let error = InternalError { driver: self.driver().kind(), port, errno };
        // (Before it shows as shut down: see `Shared::ended`.)
        if self.0.broken.set(error.clone()).is_err() {
            // It is over already.
            return;
        }
        let served = self.0.waiting.state.lock().served;
        if served && !self.0.hook.is_there() {
            // Suspended tasks, and getters, wait for whoever drives the ports. Nobody else would hear of it.
            end_process(&format!(
                "fatal runtime error: {error}: somebody has closed a descriptor of an event channel, or forbidden its calls\n"
            ));
        }
        self.0.shut_down.store(true, Ordering::SeqCst);
        self.0.ports.iter().for_each(Port::cancel_events);
        self.release(self.0.waiting.state.lock());
        let hook = self.0.hook.clone();
        let say = move || {
            quietly!(error, "{error}");
            hook.tell(&error);
        };
        if !served {
            return say();
        }
        // On a thread of its own: who drives the port has others to see to. (The closure goes with a spawn that fails.)
        let thread = std::thread::Builder::new().name(String::from("ec-internal"));
        if thread.spawn(say.clone()).is_err() {
            say();
        }
    }
}
