//! Tasks: what a thread is to a program, at a fraction of the price.
//!
//! The names and meanings are those of [`std::thread`]. A call that would block the thread suspends
//! the task instead, if it goes through this crate: [`join`](JoinHandle::join), [`sleep`], [`park`], and
//! everything in [`net`](crate::net), [`time`](crate::time) and [`sync`](crate::sync). All of them work
//! on plain threads as well.
//!
//! To the language a task *is* a thread. Every `thread_local!` of the program, and of the C libraries in it, is the
//! task's own and travels with it from worker to worker. So safe code may do in a task whatever it may do in a thread.
//! It may hold values that are not `Send`, borrows of thread-locals and lock guards across any call.
//!
//! This takes x86-64 Linux with glibc, and a self-test that passes; [`migrates`] tells whether it is so. Otherwise
//! each task is an OS thread, which is slower and equally right.
//!
//! # What stays with the kernel's thread
//! To the *kernel* a task is no thread. Its thread id, signal mask, CPU affinity, priority, namespaces, credentials set
//! for one thread, seccomp filters and the like belong to the worker. Code that changes these goes into a
//! [dedicated](Builder::dedicated) task.
//!
//! * `pthread_self()` is the task. But the calls that ask the kernel about it (`pthread_getattr_np`,
//!   `pthread_setaffinity_np`, `pthread_setschedparam`, `pthread_kill` from elsewhere) fail with `ESRCH`.
//! * `setuid` and its kin must be called by way of [`on_thread`].
//! * Mutexes with priority inheritance do not work between tasks. Robust ones do not notice an owner's death.
//!
//! `tasks/own-thread-locals.md` in the repository has the whole list and the reasons.
//!
//! Libraries that count threads count tasks. `tracing-subscriber`'s registry, for one, panics above 4,096 live tasks
//! that record spans. `pthread_exit`, `pthread_cancel` and `pthread_join` of a task are not supported. Do not suspend
//! in a callback that libc runs with a lock held (`dl_iterate_phdr`).
//!
//! Allocators with a heap per thread (mimalloc, jemalloc) would keep one per task: see [`alloc`](crate::alloc).
//!
#![doc = include_str!("task/cancellation.md")]

mod cancel_token;
mod join;
#[allow(unsafe_code)] // the contract of `ec_tasks::Watcher`
mod join_set;
mod points;
#[allow(unsafe_code)] // the contract of `ec_tasks::spawn_in_group`
mod scope;
mod scoped_join_handle;
#[allow(unsafe_code)] // the contract of `ec_tasks::spawn`
mod spawn;

use crate::twins::after;
use std::fmt;
use std::thread::Thread;
use std::time::Duration;

pub use self::scope::{Scope, scope};
pub use crate::time::{sleep, sleep_cancellable};
pub use cancel_token::CancelToken;
#[doc(inline)]
pub use ec_tasks::{AccessError, Doing, Kind, LocalKey, TaskId, TaskInfo, TaskState, ThreadInfo};
pub use join_set::{JoinSet, TimedOut};
pub use points::{check, is_cancelled, park_cancellable, park_timeout_cancellable, shield};
pub use scoped_join_handle::ScopedJoinHandle;
pub(crate) use spawn::run_scoped;
pub use spawn::{Builder, JoinHandle, spawn};

/// A task, or the plain thread that stands for one: see [`current`].
#[derive(Clone)]
pub struct Task(Who);

#[derive(Clone)]
enum Who {
    Task(ec_tasks::Task),
    Thread(TaskId, Thread),
}

impl Task {
    /// Its id: the one that a [dump](crate::Runtime::dump) shows. A plain thread has one of its own.
    pub fn id(&self) -> TaskId {
        match &self.0 {
            Who::Task(task) => task.id(),
            Who::Thread(id, _) => *id,
        }
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Who::Task(task) => task.name(),
            Who::Thread(_, thread) => thread.name(),
        }
    }

    /// Ends its [`park`], or the next one if it is not parked: as [`Thread::unpark`].
    pub fn unpark(&self) {
        match &self.0 {
            Who::Task(task) => task.unpark(),
            Who::Thread(_, thread) => thread.unpark(),
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The calling task. On a plain thread a [`Task`] that stands for the thread, so that code that hands
/// `current()` to whoever is to [`unpark`](Task::unpark) it works everywhere.
///
/// ```
/// use event_channel::task;
///
/// let me = task::current();
/// let other = task::spawn(move || me.unpark());
/// task::park();
/// other.join().unwrap();
/// ```
pub fn current() -> Task {
    match ec_tasks::current() {
        Some(task) => Task(Who::Task(task)),
        None => Task(Who::Thread(TaskId::of_thread(), std::thread::current())),
    }
}

/// Lets other tasks run; the caller goes to the back of the queue. On a plain thread: [`std::thread::yield_now`].
pub fn yield_now() {
    ec_tasks::yield_now();
}

/// Suspends until somebody calls [`unpark`](Task::unpark), or has since the last `park`. On a plain
/// thread: [`std::thread::park`]. Not a cancellation point: see [`park_cancellable`].
pub fn park() {
    ec_tasks::park();
}

/// As [`park`], for at most `duration`.
pub fn park_timeout(duration: Duration) {
    match after(duration) {
        Some(deadline) if ec_tasks::with_current(|task| task.is_some()) => {
            ec_pool::wait::park_until(deadline)
        }
        Some(_) => std::thread::park_timeout(duration),
        // Farther than any clock shows.
        None => park(),
    }
}

/// Calls `f`, which is about to block its thread: a C library, a lock of [`std::sync`], a long computation. A hint, never needed:
/// the runtime finds out by itself, within a few milliseconds, and others go on either way. With the hint the caller's core
/// is handed to another thread before `f` begins. `f` runs where it is called, with the caller's thread-locals, and
/// may also suspend; its result is returned and its panic goes on.
///
/// In a handler the same; on a plain thread and in a [dedicated](Builder::dedicated) task it just calls `f`.
///
/// ```
/// use event_channel::{run, task};
/// use std::time::Duration;
///
/// let answer = run(|| {
///     task::blocking(|| {
///         std::thread::sleep(Duration::from_millis(5)); // blocks this thread; other tasks go on
///         42
///     })
/// });
/// assert_eq!(answer, 42);
/// ```
pub fn blocking<R>(f: impl FnOnce() -> R) -> R {
    ec_pool::blocking(f)
}

/// Calls `f`. While it runs, a cancel of the task, or of a [group](CancelToken) that it is in, or the deadline of a
/// [`timeout`](crate::time::timeout), also ends a system call of foreign code in which the task blocks its thread: the open of a FIFO, a read of a pipe, flock(2), waitpid(2), the receive of a C library. The call
/// fails with `EINTR` ([`Interrupted`](std::io::ErrorKind::Interrupted)). What `f` makes of that is up to `f`; its result is returned.
///
/// The calls of this crate need none of this. This is for the others.
///
/// * A signal is sent to the thread, as soon as the task is to stop, and again each millisecond until `f` has returned. So `f` should come to
///   its end soon after the first `EINTR`: whatever can be interrupted is, also what tidies up. Nothing of it comes out of `f`: the next task on
///   that thread sees no `EINTR`.
/// * It is an interruption, and no delivery. The cancel or the deadline stays pending, in `f` and after it, until a cancellation point returns it
///   as an error. After that, calls in `f` are not ended any more, until the next one. (A shutdown's cancel is never over.)
/// * A cancel or a deadline that is pending when `f` begins counts, too. So does a `timeout` that begins within `f`. What a [`shield`] delays ends
///   no call in the shield.
/// * It may be nested: the outermost counts. A task that suspends in `f` is interrupted no more until it goes on, maybe on another thread.
/// * On a plain thread, in a handler, and in a [dedicated](Builder::dedicated) task it means the same. A plain thread cannot be cancelled,
///   but its deadlines count.
///
/// # What it does not end
/// * Code that makes the call again after an `EINTR`: a lock, a `Condvar` or a `sleep` of std's, and much else there: `File::open`, `read_exact`,
///   `read_to_end`, `Child::wait`, `TcpStream::connect`. (Of std's a single `read`, `write`, `recv` or `accept` does return it.) It goes on, and
///   is interrupted each millisecond. Nor computing.
/// * A call in which the kernel cannot be interrupted: the read of a file from a disk, or from a server that does not answer.
/// * What another thread, or a child process, does for `f`.
///
/// # The signal
/// It is a real-time one, with a handler that only counts, without `SA_RESTART`. By default one is taken, with the first such call, for which the
/// program has no handler; [`interrupt_signal`](crate::runtime::Builder::interrupt_signal) chooses another one. If the program sets a handler of
/// its own for it later, one that is left is taken; in the middle of `f` one that the thread lets through anyway, if there is one. `f` is called
/// all the same, and cannot be interrupted, if there is no signal left; or no thread for
/// who sends it; or no memory to know a forked child; or on a plain thread at its end, whose thread-locals are gone. Of the first three the log
/// tells (a warning). While no more signals may be queued (`RLIMIT_SIGPENDING`) none is sent.
///
/// The signal is let through by the thread while `f` runs. A program that `f` puts in place of this one by exec(2) may inherit one that is on
/// its way, and end by it. A child that is forked in `f` is in no section there, and is sent none.
///
/// In a forked child sections begin anew, with a sender of the child's own, and mean what they do on a plain thread. They make no process
/// one that had a runtime: after sections alone a child may have a runtime.
///
/// A coroutine of another crate should not be suspended in `f`: whoever resumed it is interrupted instead.
///
/// ```
/// use event_channel::{run, task, time};
/// use std::fs::File;
/// use std::io::{self, ErrorKind, Read};
/// use std::os::fd::OwnedFd;
/// use std::time::Duration;
///
/// /// Reads what somebody else's code would read: this blocks the thread.
/// fn read(mut pipe: &File, buffer: &mut [u8]) -> io::Result<usize> {
///     task::interruptible(|| pipe.read(buffer))
/// }
///
/// let (reader, _writer) = io::pipe()?;
/// let pipe = File::from(OwnedFd::from(reader));
/// let error = run(|| time::timeout(Duration::from_millis(5), || read(&pipe, &mut [0; 16]))).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Interrupted);
/// # Ok::<(), io::Error>(())
/// ```
pub fn interruptible<R>(f: impl FnOnce() -> R) -> R {
    ec_pool::interruptible(f)
}

/// Do tasks have thread-locals of their own, that travel with them from worker to worker? If not, each task is an OS
/// thread of its own: [`why_not`] says for what reason. May be called anywhere; the answer never changes.
///
/// The first call in a process, or the first task, finds out, which takes about a millisecond.
/// `EVENT_CHANNEL_OWN_TLS=off` in the environment makes it "no".
pub fn migrates() -> bool {
    ec_tasks::own_thread_locals().is_ok()
}

/// Why tasks are OS threads in this process; `None` if they are not. See [`migrates`].
pub fn why_not() -> Option<&'static str> {
    ec_tasks::own_thread_locals().err()
}

/// Runs `f` on the thread-locals of the OS thread that the task is on at the moment. For what asks or tells the kernel
/// something about the calling *thread*, as `setuid` does, and for C functions that load libraries by themselves
/// (`getpwuid_r`, `iconv_open`; `getaddrinfo` does it by itself). On a plain thread, and in
/// dedicated and lean tasks, it just calls `f`.
///
/// In `f` there is no current task: what would suspend the task blocks the thread instead. A panic in `f`
/// comes out here. What is around the caller is around `f`: the deadline of a [`timeout`](crate::time::timeout), the group of a
/// [`CancelToken`], a [`shield`], and a cancel of the calling task. Each counts in `f` as on a plain thread: a deadline ends a call that
/// waits, and a cancel fails the cancellation points that come after it, but ends no call that waits already. What `f` starts by
/// [`run`](crate::run) or in a [`scope`] are tasks as ever, which a cancel reaches at once. To the language it is a call into another thread:
/// hence the bounds, as with [`std::thread::spawn`], though `f` may borrow.
///
/// ```
/// use event_channel::task;
/// use std::cell::Cell;
///
/// thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });
/// task::spawn(|| {
///     COUNT.set(5);
///     assert_eq!(task::on_thread(|| COUNT.get()), if task::migrates() { 0 } else { 5 });
/// }).join().unwrap();
/// ```
pub fn on_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    ec_pool::wait::on_thread(f)
}
