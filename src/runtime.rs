//! The runtime: a pool of workers with its channel, and the way into it from a plain thread.
//!
//! There is a default runtime. It starts when it is first needed, and ends with the process, or by [`shutdown`]. [`Runtime::builder`]
//! makes others. A task belongs to the runtime it was spawned in, and what it spawns belongs there too: [`Runtime::current`].

mod builder;
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod entry;
mod handle;

use crate::channel::EventChannel;
use crate::task::{self, JoinHandle};
use ec_pool::quietly;
use ec_pool::{Here, Pool};
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use self::builder::Builder;
pub use self::handle::{Handle, dump, metrics, shutdown};
#[doc(inline)]
pub use ec_pool::{AtCap, Blocked, Dump, Metrics, PoolEvent, ShutdownError};

static DEFAULT: OnceLock<Pool> = OnceLock::new();

/// Calls `f` with the pool for what is spawned here and now: the caller's, else the default one.
pub(crate) fn with_pool<R>(f: impl FnOnce(Here<'_>) -> io::Result<R>) -> io::Result<R> {
    with_pool_or("a task cannot be started", f)
}

/// As [`with_pool`], for whatever is done there: in a forked child this `cannot` be done.
pub(crate) fn with_pool_or<R>(cannot: &str, f: impl FnOnce(Here<'_>) -> io::Result<R>) -> io::Result<R> {
    if ec_tasks::forked() {
        return Err(ec_tasks::forked_error(cannot));
    }
    ec_pool::with_current(|pool| match pool {
        Some(pool) => f(pool),
        None => f(default_pool()?.here()),
    })
}

fn default_pool() -> io::Result<&'static Pool> {
    match DEFAULT.get() {
        Some(pool) => Ok(pool),
        None => begin_default(),
    }
}

/// Of several that want it at once one begins it, and the others wait for that. But only for so long, and not at all if they are that
/// one: a logger, an allocator or a panic hook may want it, too, while it is made, or wait for somebody who does. They make one
/// themselves then. The first that is complete stays; under no lock, and nothing of the program's runs in the `OnceLock`.
#[cold]
fn begin_default() -> io::Result<&'static Pool> {
    let starter = Starter::begin();
    if starter.is_none() {
        let end = Instant::now() + LONGEST;
        while STARTER.load(Ordering::Acquire) != 0 && DEFAULT.get().is_none() && Instant::now() < end {
            std::thread::sleep(NAP);
        }
    }
    if let Some(pool) = DEFAULT.get() {
        return Ok(pool);
    }
    let pool = Pool::builder().build()?;
    let Err(late) = DEFAULT.set(pool) else {
        drop(starter);
        quietly!(debug, "the default runtime begins");
        return default_pool();
    };
    // Another one was faster. Nobody has used this one.
    late.discard();
    default_pool()
}

/// How long it is waited for one that another thread makes. (It takes a millisecond or two.)
const LONGEST: Duration = Duration::from_millis(100);
const NAP: Duration = Duration::from_micros(50);

/// The address of a thread-local of whoever makes the default pool; or 0.
static STARTER: AtomicUsize = AtomicUsize::new(0);

/// While this lives others wait, for a moment.
struct Starter;

impl Starter {
    /// `None`: another thread does. (The same one again makes it, too.)
    fn begin() -> Option<Starter> {
        thread_local!(static HERE: u8 = const { 0 });
        let here = HERE.with(|here| std::ptr::from_ref(here).addr());
        match STARTER.compare_exchange(0, here, Ordering::AcqRel, Ordering::Acquire) {
            Err(other) if other != here => None,
            _ => Some(Starter),
        }
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        STARTER.store(0, Ordering::Release);
    }
}

/// Runs `f` as a task of the default runtime (in a task, of that task's) and returns what it returns: the frame around a program's `main`.
///
/// The calling thread blocks meanwhile. `f` may borrow from its surroundings, because this function
/// neither returns nor unwinds before the task has ended. It may be called again and again. The default runtime
/// is started with the first call (or the first [`task::spawn`]) and stays until a [`shutdown`]: tasks that were spawned and
/// not joined go on when `run` returns, as goroutines do while other code still runs. When the *process* ends
/// (`main` returns, or [`std::process::exit`] is called) they are gone without being unwound: the default runtime is never shut down, and
/// nothing waits for it. From the moment that the process begins to end, what waits on io_uring for a connection or a datagram waits
/// for ever, so that the port is free afterwards.
///
/// Inside a task, `f` runs as another task of the same runtime and the caller is suspended until it
/// has ended; so `f` should not [shut down](Runtime::shutdown) the runtime without a limit of time, which waits
/// for that caller. In [`on_thread`](task::on_thread) of a task it is the same, but the thread is blocked so long, and another one of the
/// runtime's has to run `f`: with [`max_threads(1)`](Builder::max_threads) nobody does.
///
/// **In a handler of an event `f` is just called**, on the worker that calls the handler; and so it is in a forked child of a process with a
/// runtime. (A child that is forked in `f` ends with `f`: see [Fork](crate#fork).)
///
/// **What is around the call is around `f`**, as for a child of a [`task::scope`]: each [`timeout`](crate::time::timeout), the group of each
/// [token](task::CancelToken), and a cancel of the calling task, which goes to `f` at once; up to a [`shield`](task::shield). What was
/// delivered before the call is not of it. Of what comes meanwhile the caller has its own, at its next
/// [cancellation point](task#cancellation), whether `f` has got it or not.
///
/// # Panics
/// A panic of `f` goes on in the caller. Also if the system has no threads or no memory to give.
///
/// ```
/// use event_channel::task;
///
/// let words = ["plain", "blocking-looking", "code"];
/// let longest = event_channel::run(|| {
///     let other = task::spawn(|| "runs meanwhile".len());
///     let mine = words.iter().map(|word| word.len()).max();
///     mine.max(other.join().ok())
/// });
/// assert_eq!(longest, Some(16));
/// ```
///
/// On a plain thread, too, a timeout ends what it is around:
///
/// ```
/// use event_channel::time::{Duration, sleep_cancellable, timeout};
/// use event_channel::{is_deadline, run};
///
/// let error = timeout(Duration::from_millis(5), || run(|| sleep_cancellable(Duration::from_secs(3600)))).unwrap_err();
/// assert!(is_deadline(&error));
/// ```
pub fn run<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    if ec_tasks::forked() {
        return f();
    }
    match with_pool(|pool| Ok(run_in(pool, f))) {
        Ok(value) => value,
        Err(error) => panic!("the default runtime could not be started: {error}"),
    }
}

fn run_in<F, T>(pool: Here<'_>, f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    run_named(pool, String::from("main"), f)
}

fn run_named<F, T>(pool: Here<'_>, name: String, f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    if ec_tasks::forked() || pool.is_in_handler() {
        return f();
    }
    match task::run_scoped(pool, name, f) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(error) => panic!("the main task could not be started: {error}"),
    }
}

/// A runtime: cores, workers, a channel. See [`run`] for the one that needs no making.
///
/// Dropped, it shuts itself down with a grace of one second, and a warning (`log`) names the tasks that would
/// not stop. The drop waits for nothing else: not for longer than [`shutdown`](Runtime::shutdown) would, nor for a logger that blocks. Then
/// it drops what nobody else refers to, on the calling thread: the listener, and events that were not fetched, with what the program has put
/// into them. Dropped inside one of its own tasks or handlers, in a listener to its events, or while unwinding, it
/// begins to end and does not wait.
///
/// ```
/// use event_channel::Runtime;
/// use std::time::Duration;
///
/// let runtime = Runtime::builder().cores(2).build()?;
/// assert_eq!(runtime.run(|| 6 * 7), 42);
/// let task = runtime.spawn(|| "also here");
/// assert_eq!(task.join().unwrap(), "also here");
/// println!("{}", runtime.dump());
/// runtime.shutdown(Duration::from_secs(1)).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Runtime {
    pool: Pool,
}

impl Runtime {
    /// A runtime with the default settings. Errors as [`Builder::build`].
    pub fn new() -> io::Result<Runtime> {
        Runtime::builder().build()
    }

    /// For a runtime with other settings.
    pub fn builder() -> Builder {
        Builder(Pool::builder())
    }

    /// Runs `f` as a task of this runtime and returns what it returns; may be called again and again. As the free
    /// function [`run`], which see; called in a task of any runtime, that task is suspended, and what is around it is around `f`.
    /// In one of this runtime's own handlers, and in a forked child, `f` is just called. In a handler of another runtime it is a task of this
    /// one all the same, and the handler's thread is blocked until it has ended.
    ///
    /// It returns when `f` has, whatever happens: if another thread shuts the runtime down meanwhile and
    /// `f` ignores the cancellation, its task is abandoned and this call never returns.
    ///
    /// # Panics
    /// A panic of `f` goes on in the caller. Also after a shutdown, if one ends the runtime before `f` has begun, or if there is no
    /// memory for a stack.
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        run_in(self.pool.here(), f)
    }

    /// Starts a task in this runtime, from anywhere. As [`task::spawn`]; for names and the like, and for an error
    /// instead of a panic, see [`spawn_with`](Self::spawn_with).
    ///
    /// # Panics
    /// After a shutdown, in a forked child, or if there is no memory for a stack.
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(task::Builder::new(), f).expect("failed to spawn task")
    }

    /// Starts a task in this runtime as `builder` says.
    ///
    /// # Errors
    /// As [`task::Builder::spawn`].
    pub fn spawn_with<F, T>(&self, builder: task::Builder, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        builder.spawn_in(self.pool.here(), f)
    }

    /// The channel that this runtime's workers drive. Events with a handler are handled on the workers; those
    /// without wait for [`get_event`](EventChannel::get_event). How a task has one request carried out, and waits for it, is shown
    /// [there](crate::channel#one-request-from-a-task).
    pub fn channel(&self) -> &EventChannel {
        self.pool.channel()
    }

    /// Numbers: cores, workers by what they do, how the pool grew and shrank, tasks, steals, queue lengths, events.
    pub fn metrics(&self) -> Metrics {
        self.pool.metrics()
    }

    /// Every live task: id, name, state, what it waits for or which thread runs it, and since when. `{}` prints a table in which equal
    /// lines share one ([`Dump`]); each task by itself is a [`TaskInfo`](task::TaskInfo).
    ///
    /// Of a task that runs it says what the kernel knows of its thread: it computes, or it sleeps, in which system call, and on which
    /// descriptor ([`ThreadInfo`](task::ThreadInfo)). Where /proc does not tell that, it says so. Times are exact to some milliseconds.
    ///
    /// It neither suspends nor blocks for long, and may be called anywhere: some milliseconds for each 1,000 tasks in the process, and
    /// some 50 µs for each that is on a thread.
    ///
    /// ```
    /// use event_channel::Runtime;
    /// use event_channel::task::{self, Doing, TaskInfo, TaskState, ThreadInfo};
    ///
    /// let runtime = Runtime::new()?;
    /// let (id, tasks): (_, Vec<TaskInfo>) = runtime.run(|| (task::current().id(), runtime.dump().tasks));
    /// let me = tasks.iter().find(|task| task.id == id).unwrap();
    /// assert_eq!((me.name.as_deref(), me.state), (Some("main"), TaskState::Running));
    ///
    /// // Who blocks a thread, and in what?
    /// for task in runtime.dump().tasks {
    ///     if let Some(ThreadInfo { doing: Doing::Asleep { call: Some(call), .. }, .. }) = task.thread {
    ///         println!("task {} in {call}, for {:?}", task.id, task.since);
    ///     }
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn dump(&self) -> Dump {
        self.pool.dump()
    }

    /// Ends the runtime: takes no new tasks, cancels all (from now on each of their cancellation points fails), waits
    /// for them for at most `grace`, shuts the channel down, and stops the workers. A second call is `Ok`.
    ///
    /// In a task it suspends. In a task of this very runtime it waits for the *others*, and returns
    /// while the workers still run; they stop when the calling task has ended. Tasks that have called it do not
    /// wait for one another; but a task that waits for the *end* of the calling one, in [`run`](Self::run) or
    /// `join`, is among those others, and cannot be cancelled there: with a `grace` without limit the two wait for
    /// ever, with a limit that task is named in the error. A shutdown from outside cancels and waits
    /// for all tasks, also those that have called it themselves. In one of its handlers, and in a listener to
    /// [events](Builder::on_event), it begins to end and returns at once; if it does not go well the log says so. In a forked child it
    /// does nothing.
    ///
    /// It returns with the end of the grace, whatever is stuck: a task, a handler, a listener, a logger, a destructor, a thread of the
    /// runtime itself. (On an idle machine the last steps take less than 20 ms beyond it; half a microsecond more for each task that is named.) With a grace of zero only those have time who
    /// need none. [`Duration::MAX`] is without a limit. What stays behind sleeps, and ends when that returns which holds it up. Code of the
    /// program's that the *caller* runs has no limit: a global allocator, above all.
    ///
    /// Of two calls at a time the one with the shorter grace stops the workers, and the other one returns then, too. Two tasks that shut
    /// each other's runtimes down both hear of it: a task that waits in here for another runtime returns when the grace of its own is over,
    /// before it is abandoned, and the shutdown [goes on](ShutdownError::goes_on) without it. If nobody is left who can be told of an
    /// error, the log is (a warning).
    ///
    /// # Errors
    /// Names the tasks that would not stop, and which thread they keep. They are abandoned: never unwound; what they hold stays until the
    /// process ends, and a `join` of theirs does not return ([`JoinHandle::join`] has the exceptions). A task that had not begun never
    /// does: what it holds is dropped, and its `join` is an error. And the threads of the runtime
    /// that are inside the program's code otherwise, in a listener, say: they are left behind. And how many handlers of events were
    /// not called for lack of time: what their events hold is dropped.
    ///
    /// ```
    /// use event_channel::Runtime;
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::builder().cores(1).build()?;
    /// drop(runtime.spawn(event_channel::task::park)); // nobody will unpark it
    /// let error = runtime.shutdown(Duration::from_millis(10)).unwrap_err();
    /// assert!(error.names()[0].contains("unnamed") && !error.goes_on());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        self.pool.shutdown(grace)
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&self.pool).finish()
    }
}
