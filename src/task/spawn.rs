//! How a task is started, and the handle of one that was.
//!
//! This file has `unsafe` in it: the contract of `ec_tasks::spawn`.

use super::scope::enclose;
use super::{CancelToken, Task, Who, migrates};
use crate::future::WakerSlot;
use crate::runtime;
use crate::twins::{NO_DEADLINE, point};
use ec_pool::Here;
use ec_pool::wait::{self, Inherited};
use ec_tasks::{Group, Kind, SpawnOptions};
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

/// Starts a task in the current runtime; outside of any, in the default one, which is started if
/// need be. Dropping the handle detaches the task.
///
/// A panic of the task ends the task alone:
///
/// 1. The panic hook is called, as in a thread. std's says where it was, and calls the thread `<unnamed>`. With `RUST_BACKTRACE=1` its
///    backtrace ends at the task's function: what called that is left out, as for threads.
/// 2. One line on stderr names the task and its id, with the first line of the message. It says, too, if the handle was
///    dropped before. (`task 'reader' (id 7) panicked: no such file`)
/// 3. [`join`](JoinHandle::join) returns the payload.
///
/// All of this is written to stderr and none of it goes to the `log` crate: a program that wants
/// it in its log sets a [panic hook](std::panic::set_hook), in which [`current`](super::current) is the task, with the same name and id
/// as in that line. (A panic in a
/// [handler](crate::channel::Request::on_complete) or in a [listener](crate::runtime::Builder::on_event) is logged by `log`, as an
/// error.)
///
/// # Panics
/// If there is no memory for its stack, after the runtime's shutdown, or in a forked child; see
/// [`Builder::spawn`] for an error instead.
///
/// ```
/// use event_channel::task;
///
/// let task = task::spawn(|| 6 * 7);
/// assert_eq!(task.join().unwrap(), 42);
/// ```
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("failed to spawn task")
}

/// How a task is to be. As [`std::thread::Builder`].
///
/// ```
/// use event_channel::task;
///
/// let task = task::Builder::new()
///     .name("reader".into())
///     .stack_size(64 * 1024)
///     .spawn(|| task::current().name().map(str::to_owned))?;
/// assert_eq!(task.join().unwrap().as_deref(), Some("reader"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "must be spawned"]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
    kind: Kind,
    cancel_token: Option<CancelToken>,
}

impl Builder {
    /// The defaults: no name, no stack size, not dedicated.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The name, for messages and dumps. It must not contain a NUL byte: spawning panics then, as std's does.
    pub fn name(mut self, name: String) -> Builder {
        self.name = Some(name);
        self
    }

    /// The stack in bytes, at least. Address space; only what is touched takes memory. By default the runtime's
    /// ([`runtime::Builder::stack_size`]), and for a dedicated task that of [`std::thread`].
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = Some(bytes);
        self
    }

    /// The task gets an OS thread of its own, for code that is tied to its thread. All of this crate's calls
    /// work there too, and block that thread alone.
    pub fn dedicated(mut self) -> Builder {
        self.kind = Kind::Dedicated;
        self
    }

    /// The task is in the group of `token`, as long as its closure runs: it runs in [`CancelToken::enter`].
    ///
    /// ```
    /// use event_channel::{task, time};
    ///
    /// let token = task::CancelToken::new();
    /// let sleep = || time::sleep_cancellable(time::Duration::from_secs(3600));
    /// let tasks: Vec<_> =
    ///     (0..3).map(|_| task::Builder::new().cancel_token(&token).spawn(sleep)).collect::<Result<_, _>>()?;
    /// token.cancel();
    /// assert!(tasks.into_iter().all(|task| task.join().unwrap().is_err()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn cancel_token(mut self, token: &CancelToken) -> Builder {
        self.cancel_token = Some(token.clone());
        self
    }

    /// Starts the task; see [`spawn`](fn@spawn) for where.
    ///
    /// # Errors
    /// The operating system's, if it refuses memory or (dedicated) a thread; one of kind
    /// [`Other`](io::ErrorKind::Other) after the runtime's shutdown; one of kind
    /// [`Unsupported`](io::ErrorKind::Unsupported) in a [forked child](crate#fork).
    ///
    /// # Panics
    /// If the name contains a NUL byte.
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        runtime::with_pool(|pool| self.spawn_in(pool, f))
    }

    pub(crate) fn spawn_in<F, T>(self, pool: Here<'_>, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: `f` borrows nothing and may go to other threads, and the task is not a lean one.
        unsafe { self.start(pool, None, f) }
    }

    /// Starts a lean task: a bare stack that shares the thread-locals of whatever worker it is on. It takes some
    /// 6 KiB less memory and its switches cost about half; it migrates everywhere, also where [`migrates`] says no.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// # Safety
    /// The task runs on one thread after another. Nothing in it may, across a call that suspends, hold
    /// a reference into a thread-local or a value that is not `Send`, or rely on what a thread-local contains.
    pub unsafe fn spawn_lean<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let lean = Builder { kind: Kind::Lean, ..self };
        // SAFETY: `f` borrows nothing and may go to other threads; the rest is the caller's promise.
        runtime::with_pool(|pool| unsafe { lean.start(pool, None, f) })
    }

    /// # Safety
    /// What `f` and its result borrow lives until the task has ended, or until its group is empty; if it is lean, the contract of `spawn_lean`.
    pub(super) unsafe fn start<F, T>(
        self,
        pool: Here<'_>,
        group: Option<Arc<Group>>,
        f: F,
    ) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        if let Some(name) = &self.name {
            assert!(!name.contains('\0'), "a task's name may not contain a NUL byte");
        }
        let is_thread = self.kind == Kind::Dedicated || (self.kind == Kind::Own && !migrates());
        let options = SpawnOptions {
            name: self.name,
            // None named: 0 is std's default for a thread.
            stack_size: self.stack_size.unwrap_or(if is_thread { 0 } else { pool.stack_size() }),
            kind: self.kind,
        };
        let inner = match self.cancel_token {
            // SAFETY: by contract.
            None => unsafe { begin(pool, options, group, f) },
            // SAFETY: by contract; a token may go anywhere.
            Some(token) => unsafe { begin(pool, options, group, move || token.enter(f)) },
        }?;
        Ok(JoinHandle { inner, task: OnceLock::new(), waker: AssertUnwindSafe(None) })
    }
}

/// # Safety
/// As for [`Builder::start`].
unsafe fn begin<F, T>(
    pool: Here<'_>,
    options: SpawnOptions,
    group: Option<Arc<Group>>,
    f: F,
) -> io::Result<ec_tasks::JoinHandle<T>>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    match group {
        // SAFETY: by contract.
        None => unsafe { pool.spawn(options, f) },
        // SAFETY: as above.
        Some(group) => unsafe { pool.spawn_in_group(options, group, f) },
    }
}

/// Runs `f` as a task of that name, which is in what the caller is in, and waits for its end: `f` may borrow.
pub(crate) fn run_scoped<F, T>(pool: Here<'_>, name: String, f: F) -> io::Result<std::thread::Result<T>>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    let (group, inherited) = (Arc::new(Group::new()), Inherited::here());
    let f = in_place_of_its_caller(move || inherited.around(f));
    enclose(&group, || {
        // SAFETY: what `f` and its result borrow outlives this call, which ends only when the group is empty. If the
        // caller is a task that is abandoned in here, its stack is never reused.
        let task = unsafe { Builder::new().name(name).start(pool, Some(group.clone()), f) }?;
        Ok(task.join())
    })
}

/// In a child that is forked in `f` the caller of `run` is not there: nobody to return to, or to go on panicking in. As `main` would end
/// that had called `f`, the child ends with 0 or with 101. What std has buffered for standard output is written.
fn in_place_of_its_caller<T>(f: impl FnOnce() -> T) -> impl FnOnce() -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            if ec_tasks::forked() {
                std::process::exit(if std::thread::panicking() { 101 } else { 0 });
            }
        }
    }
    move || {
        let _end = End;
        f()
    }
}

/// The handle of a spawned task. Dropping it detaches the task.
pub struct JoinHandle<T> {
    pub(super) inner: ec_tasks::JoinHandle<T>,
    /// Made when somebody asks for it.
    task: OnceLock<Task>,
    /// Who is told of the end, if the handle was polled. (What it panics with is caught, and nothing is left half done.)
    pub(super) waker: AssertUnwindSafe<Option<Arc<WakerSlot>>>,
}

impl<T> JoinHandle<T> {
    /// Waits for the end of the task and returns what it returned, or the payload of its panic. Suspends in a
    /// task, blocks on a plain thread. Not a cancellation point: see [`join_cancellable`](Self::join_cancellable).
    ///
    /// A task that a [shutdown](crate::Runtime::shutdown) has abandoned while it was suspended never ends, and this never
    /// returns for it. One that was on a thread then, in a call that blocks, ends if it gets to its end from there without
    /// suspending. A [dedicated](Builder::dedicated) one has its thread and goes on: it sleeps, and waits with a limit, as ever, its
    /// calls of the network fail ([`Cancelled`](crate::Cancelled)), and only what nobody posts or unparks does not return. Whoever does not
    /// want to wait asks [`is_finished`](Self::is_finished) first, which says no as long as the task has not ended.
    ///
    /// # Errors
    /// The task panicked. Or a shutdown has abandoned it before it began: the payload is a `&str` that says so, also for those who waited
    /// already. In a forked child: it belongs to the parent and has not ended.
    ///
    /// ```
    /// use event_channel::Runtime;
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::builder().cores(1).max_threads(1).build()?;
    /// drop(runtime.spawn(|| std::thread::sleep(Duration::from_millis(50))));
    /// let waits = runtime.spawn(|| 7);
    /// let _ = runtime.shutdown(Duration::ZERO);
    /// // (Where tasks are threads it has begun, and ends.)
    /// assert!(waits.join().map_or(true, |seven| seven == 7));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    /// In the task itself, which would wait for its own end. If [`join_cancellable`](Self::join_cancellable) has given the result before.
    pub fn join(self) -> std::thread::Result<T> {
        self.inner.join()
    }

    /// As [`join`](Self::join), and a [cancellation point](crate::task#cancellation) of the task that calls. The handle stays: after an
    /// error the task may still be joined, cancelled, or detached.
    ///
    /// # Errors
    /// A cancel of the caller, or the deadline of a surrounding [`timeout`](crate::time::timeout). What [`join`](Self::join) calls an error
    /// is inside of `Ok`.
    ///
    /// # Panics
    /// As [`join`](Self::join): the result is given once.
    ///
    /// ```
    /// use event_channel::{is_deadline, task, time};
    /// use std::time::Duration;
    ///
    /// let mut slow = task::spawn(|| {
    ///     while !task::is_cancelled() {
    ///         time::sleep(Duration::from_millis(1));
    ///     }
    ///     "has tidied up"
    /// });
    /// let error = time::timeout(Duration::from_millis(5), || slow.join_cancellable()).unwrap_err();
    /// assert!(is_deadline(&error));
    /// slow.cancel();
    /// assert_eq!(slow.join().unwrap(), "has tidied up");
    /// ```
    pub fn join_cancellable(&mut self) -> io::Result<std::thread::Result<T>> {
        wait::checkpoint()?;
        Ok(point(|is| self.join_by(None, is))?.expect(NO_DEADLINE))
    }

    /// Asks the task to stop: the call it waits in, or else the next one that suspends and returns an
    /// [`io::Result`], fails once with an error that holds [`Cancelled`](crate::Cancelled). The task may go
    /// on; nothing is broken off by force. [Which calls those are](crate::task#cancellation).
    pub fn cancel(&self) {
        self.inner.cancel();
    }

    /// Has the task ended? Then [`join`](Self::join) returns at once.
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    /// As [`task`](Self::task), by the name that it has in [`std::thread::JoinHandle`].
    pub fn thread(&self) -> &Task {
        self.task()
    }

    /// The task itself: its id, its name, and the way to [`unpark`](Task::unpark) it.
    pub fn task(&self) -> &Task {
        self.task.get_or_init(|| Task(Who::Task(self.inner.task().clone())))
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("task", self.task()).finish_non_exhaustive()
    }
}
