//! The runtime that one is in, and the default one by free functions.

use super::{DEFAULT, Dump, Metrics, Runtime, ShutdownError, run_in};
use crate::channel::EventChannel;
use crate::task::{Builder, JoinHandle};
use ec_pool::PoolHandle;
use std::fmt;
use std::io;
use std::time::Duration;

/// A runtime, for code that runs in it: [`Runtime::current`] gives it. It does what a [`Runtime`] does, and does not keep it
/// running: after the runtime's end it is as a runtime that was shut down.
#[derive(Clone)]
pub struct Handle(PoolHandle);

impl Runtime {
    /// The runtime of the task or of the handler that calls, whoever has made it. `None` on a plain thread, also if there is a default
    /// runtime, and in a forked child. It begins no runtime, and does not suspend.
    ///
    /// ```
    /// use event_channel::{Runtime, run};
    ///
    /// assert!(Runtime::current().is_none());
    /// let tasks = run(|| {
    ///     let runtime = Runtime::current().expect("this is a task");
    ///     runtime.spawn(|| "in the same runtime").join().unwrap();
    ///     runtime.metrics().tasks_spawned
    /// });
    /// assert!(tasks >= 2);
    /// ```
    pub fn current() -> Option<Handle> {
        ec_pool::current().map(Handle)
    }
}

impl Handle {
    /// As [`Runtime::run`].
    ///
    /// # Panics
    /// As there.
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        run_in(self.0.here(), f)
    }

    /// As [`Runtime::spawn`].
    ///
    /// # Panics
    /// As there.
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(Builder::new(), f).expect("failed to spawn task")
    }

    /// As [`Runtime::spawn_with`].
    ///
    /// # Errors
    /// As there.
    pub fn spawn_with<F, T>(&self, builder: Builder, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        builder.spawn_in(self.0.here(), f)
    }

    /// As [`Runtime::channel`].
    pub fn channel(&self) -> &EventChannel {
        self.0.channel()
    }

    /// As [`Runtime::metrics`].
    pub fn metrics(&self) -> Metrics {
        self.0.metrics()
    }

    /// As [`Runtime::dump`].
    pub fn dump(&self) -> Dump {
        self.0.dump()
    }

    /// As [`Runtime::shutdown`].
    ///
    /// # Errors
    /// As there.
    pub fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        self.0.shutdown(grace)
    }
}

/// As of a [`Runtime`].
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0).finish()
    }
}

/// The one that `spawn` would use here, if it has begun.
fn here() -> Option<PoolHandle> {
    ec_pool::current().or_else(|| DEFAULT.get().map(|pool| pool.handle()))
}

/// Every live task of the default runtime, as [`Runtime::dump`]. In a task or a handler: of the runtime that it belongs to. If the
/// default runtime has never begun, it has no tasks, and does not begin by this.
///
/// ```
/// use event_channel::{dump, run, task};
///
/// assert!(dump().tasks.is_empty());
/// run(|| {
///     task::Builder::new().name("waits".into()).spawn(task::park).unwrap();
/// });
/// println!("{}", dump()); // on a plain thread, say when a signal comes
/// assert!(dump().tasks.iter().any(|task| task.name.as_deref() == Some("waits")));
/// ```
pub fn dump() -> Dump {
    here().map_or_else(Dump::default, |pool| pool.dump())
}

/// Numbers about the default runtime, as [`Runtime::metrics`]. In a task or a handler: about the runtime that it belongs to. All zero
/// if the default runtime has never begun, which it does not by this.
///
/// ```
/// use event_channel::{metrics, run};
///
/// assert_eq!(metrics().cores, 0);
/// run(|| ());
/// assert!(metrics().cores > 0 && metrics().tasks_spawned > 0);
/// ```
pub fn metrics() -> Metrics {
    here().map_or_else(Metrics::default, |pool| pool.metrics())
}

/// Ends the default runtime, as [`Runtime::shutdown`], which see: it cancels all tasks, and waits for them for at most `grace`. In a task
/// or a handler: the runtime that it belongs to. It suspends a task, and blocks a plain thread.
///
/// The default runtime has no successor: afterwards [`task::spawn`](crate::task::spawn()) outside of tasks and [`run`](crate::run) panic,
/// and [`Builder::spawn`] fails. If it has never begun, nothing is done, and it may begin later.
///
/// # Errors
/// As [`Runtime::shutdown`].
///
/// ```
/// use event_channel::{run, shutdown, task, time};
/// use std::time::Duration;
///
/// let task = run(|| {
///     task::spawn(|| {
///         while !task::is_cancelled() {
///             time::sleep(Duration::from_millis(1));
///         }
///         "has tidied up"
///     })
/// });
/// shutdown(Duration::from_secs(10))?;
/// assert_eq!(task.join().unwrap(), "has tidied up");
/// # Ok::<(), event_channel::runtime::ShutdownError>(())
/// ```
pub fn shutdown(grace: Duration) -> Result<(), ShutdownError> {
    here().map_or(Ok(()), |pool| pool.shutdown(grace))
}
