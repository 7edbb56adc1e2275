//! The pool as its owner and its tasks see it.

#![allow(unsafe_code)]

use crate::builder::Builder;
use crate::dump::Dump;
use crate::metrics::Metrics;
use crate::shutdown;
use crate::shutdown_error::ShutdownError;
use crate::size::host::Host;
use crate::size::running;
use crate::worker::current::{in_handler_of, with_shared};
use crate::worker::leftovers;
use crate::worker::shared::Shared;
use ec_channel::{Completions, EventChannel};
use ec_tasks::{Group, JoinHandle, Scheduler, SpawnOptions};
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// A pool of workers. It ends when this is dropped, as by [`shutdown`](PoolHandle::shutdown) with a grace of one
/// second; tasks that would not stop are named in a warning (`log`). What it still holds of the program's (its listener, events that
/// nobody has got) is dropped on a thread of its own, and is waited for in the same second. Dropped inside one of its own tasks or
/// handlers, or while the thread unwinds, it begins to end and does not wait. In a forked child nothing happens.
///
/// ```
/// use ec_pool::Pool;
/// use ec_tasks::SpawnOptions;
///
/// let pool = Pool::builder().cores(2).build()?;
/// let options = SpawnOptions::new().stack_size(pool.stack_size());
/// // SAFETY: the closure and its result may go to another thread and borrow nothing; the task is not a lean one.
/// let sum = unsafe { pool.spawn(options, || 1 + 2) }?;
/// assert_eq!(sum.join().unwrap(), 3);
/// pool.shutdown(std::time::Duration::from_secs(1)).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Pool {
    handle: ManuallyDrop<PoolHandle>,
}

/// A pool as it is seen from inside, which does not keep it running. See [`current`].
#[derive(Clone)]
pub struct PoolHandle {
    shared: Arc<Shared>,
}

impl Pool {
    /// The settings of a pool to be.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Pool {
        Pool { handle: ManuallyDrop::new(PoolHandle { shared }) }
    }

    /// A handle that does not keep the pool running.
    pub fn handle(&self) -> PoolHandle {
        PoolHandle::clone(&self.handle)
    }

    /// Ends a pool that nobody has used: as by dropping it, but it is not waited for.
    #[doc(hidden)]
    pub fn discard(self) {
        let mut pool = ManuallyDrop::new(self);
        // SAFETY: not used again; `pool` is not dropped.
        shutdown::discard(unsafe { ManuallyDrop::take(&mut pool.handle) }.shared);
    }
}

impl Deref for Pool {
    type Target = PoolHandle;

    fn deref(&self) -> &PoolHandle {
        &self.handle
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if ec_tasks::forked() {
            // It is the parent's; even its locks may be held by threads that are not here.
            return;
        }
        // SAFETY: not used again; `drop` runs once.
        shutdown::on_drop(unsafe { ManuallyDrop::take(&mut self.handle) }.shared);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PoolHandle {
    /// The channel that the workers drive.
    pub fn channel(&self) -> &EventChannel {
        &self.shared.channel
    }

    /// The stack that a task gets if it does not ask for another size, in bytes.
    pub fn stack_size(&self) -> usize {
        self.shared.stack_size
    }

    /// The cap on worker threads, as the builder was told.
    pub fn max_threads(&self) -> usize {
        self.shared.size.limits.max_threads
    }

    /// How long an unneeded worker stays, as the builder was told.
    pub fn keep_alive(&self) -> Duration {
        self.shared.size.limits.keep_alive
    }

    /// Starts a task.
    ///
    /// # Errors
    /// What the operating system says if there is no memory for a stack; and an error of kind
    /// [`Other`](io::ErrorKind::Other) after the pool has begun to shut down, or
    /// [`Unsupported`](io::ErrorKind::Unsupported) in a forked child.
    ///
    /// # Safety
    /// As for [`ec_tasks::spawn_unchecked`].
    pub unsafe fn spawn<T, F>(&self, options: SpawnOptions, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T,
    {
        // SAFETY: by contract.
        unsafe { self.here().spawn(options, f) }
    }

    /// In a pool that has stopped nobody drives the ports. Then this does, once, without waiting: what waits for a completion there, and
    /// goes on when the pool does not, calls it time and again. Does nothing before.
    pub fn drive_if_stopped(&self) {
        if !self.shared.life.is_stopped() {
            return;
        }
        let mut out = Completions::new();
        for core in 0..self.shared.queues.cores() {
            // (A port that cannot be driven has nothing.)
            let _ = self.shared.look_after_port(core, &mut out);
        }
        leftovers::let_go_if_late(&self.shared);
    }

    /// The pool, without a count.
    pub fn here(&self) -> Here<'_> {
        Here(&self.shared)
    }

    /// Numbers about the pool. All zero in a forked child.
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.shared)
    }

    /// A snapshot of all live tasks. Empty in a forked child.
    pub fn dump(&self) -> Dump {
        running::dump(&*self.shared)
    }

    /// Ends the pool: takes no new tasks, cancels all that live (each cancellation point fails from now on), waits for
    /// them for at most `grace`, shuts the channel down, and stops and joins the workers. A worker that is
    /// stuck in user code is left behind and leaves when that returns.
    ///
    /// A second call is `Ok`; while another one is under way it waits too.
    ///
    /// In a task it suspends. In a task *of this pool* it cancels all others, waits for them, and returns while
    /// the workers still run; they stop when the calling task has ended. Tasks of this pool that have called it
    /// do not wait for one another; but one that waits for the *end* of the calling task (joins it) is among those
    /// others: with no limit of time the two wait for ever. A shutdown from outside cancels and waits
    /// for all, also those that have called it themselves. In a handler on one of
    /// this pool's workers, and in a listener to a pool's [events](crate::Builder::on_event), it begins the shutdown and returns at once. In a forked child it does nothing.
    ///
    /// It returns with the end of the grace, whatever is stuck; on an idle machine within 20 ms of it, and half a microsecond more for
    /// each task that is named. A task whose own pool ends while it
    /// waits here for another one returns before it is abandoned, and the shutdown [goes on](ShutdownError::goes_on) without it. An error
    /// that nobody can be told any more is logged.
    ///
    /// # Errors
    /// Names the tasks that would not stop in time. They are abandoned: never unwound; their stacks, and
    /// the channel if they have requests in it, stay until the process ends. (Those that had not begun are dropped, and to join them is
    /// an error.) And the threads that are inside the program's code otherwise.
    pub fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        shutdown::shutdown(&self.shared, grace)
    }

    /// Do both stand for the same pool?
    pub fn is(&self, other: &PoolHandle) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

/// A pool as it is seen from inside, without a count: see [`with_current`].
#[derive(Clone, Copy)]
pub struct Here<'a>(&'a Shared);

impl Here<'_> {
    /// As [`PoolHandle::channel`].
    pub fn channel(&self) -> &EventChannel {
        &self.0.channel
    }

    /// The stack that a task gets if it does not ask for another size, in bytes.
    pub fn stack_size(&self) -> usize {
        self.0.stack_size
    }

    /// The pool, with a count. `None`: it is just going.
    pub fn handle(&self) -> Option<PoolHandle> {
        self.0.arc().map(|shared| PoolHandle { shared })
    }

    /// Whether the caller runs directly on a worker of this pool, in the handler of an event. (Not in a task that has stepped out by
    /// `on_thread`, nor in a handler of another pool.)
    pub fn is_in_handler(&self) -> bool {
        in_handler_of(self.0)
    }

    /// As [`PoolHandle::spawn`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn spawn<T, F>(&self, options: SpawnOptions, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T,
    {
        // SAFETY: by contract; the pool lives as long as `self`.
        self.admit(|counted| unsafe { ec_tasks::spawn_in(self.0.identity(), counted, options, f) })
    }

    /// As [`spawn`](Self::spawn), as a member of `group`.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As for [`ec_tasks::spawn_in_group`].
    pub unsafe fn spawn_in_group<T, F>(
        &self,
        options: SpawnOptions,
        group: Arc<Group>,
        f: F,
    ) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T,
    {
        // SAFETY: as above.
        self.admit(|counted| unsafe {
            ec_tasks::spawn_in_group(self.0.identity(), counted, options, group, f)
        })
    }

    #[inline(always)]
    fn admit<T>(
        &self,
        spawn: impl FnOnce(&dyn Fn() -> Arc<dyn Scheduler>) -> io::Result<JoinHandle<T>>,
    ) -> io::Result<JoinHandle<T>> {
        if ec_tasks::forked() {
            return Err(ec_tasks::forked_error("a task cannot be started"));
        }
        let shared = self.0;
        if !shared.admit_task() {
            return Err(io::Error::other("the runtime has been shut down: it takes no new tasks"));
        }
        let counted = || -> Arc<dyn Scheduler> { shared.arc().expect("whoever spawns keeps the pool") };
        let admitted = Admitted(shared);
        let task = spawn(&counted)?;
        std::mem::forget(admitted);
        shared.task_started();
        if !shared.life.is_open() {
            // The shutdown began meanwhile and may have missed it.
            task.task().cancel_sticky(shared);
            leftovers::let_go_if_late(shared);
        }
        Ok(task)
    }
}

/// A task that counts and has not been started. Also if that unwinds: a closure's destructor or a logger may panic.
struct Admitted<'a>(&'a Shared);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.task_turned_away();
    }
}

/// In short: driver, cores, threads, the most threads, and whether it takes new tasks. It asks no task and takes no lock.
impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.shared;
        f.debug_struct("Pool")
            .field("driver", &shared.channel.driver().kind())
            .field("cores", &shared.queues.cores())
            .field("threads", &shared.size.threads.count())
            .field("max_threads", &shared.size.limits.max_threads)
            .field("open", &shared.life.is_open())
            .finish()
    }
}

/// Calls `f` with the pool of the task that calls, or of the worker whose handler calls; with `None` on every other
/// thread and in a forked child.
pub fn with_current<R>(f: impl FnOnce(Option<Here<'_>>) -> R) -> R {
    with_shared(|shared| f(shared.map(Here)))
}

/// The pool of the task that calls, or of the worker whose handler calls; `None` on every other thread and in
/// a forked child.
pub fn current() -> Option<PoolHandle> {
    with_current(|pool| pool.and_then(|pool| pool.0.arc())).map(|shared| PoolHandle { shared })
}
