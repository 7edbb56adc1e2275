//! How a caller of `get_event` waits when it is not a plain thread.
//!
//! The channel knows nothing of tasks. A runtime that has them installs one of these. A task that calls
//! `get_event` is then suspended; the thread that runs it does not block.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::thread::Builder;
use std::time::{Duration, Instant};

/// Ends a wait: see [`Blocker::unparker`].
pub type Unparker = Box<dyn Fn() + Send + Sync>;

/// A task that waits, as those see it who are to wake it: see [`Blocker::sleeper`].
pub trait Sleeper: Send + Sync {
    /// Makes it look at what it waits for again, from any thread.
    fn wake(&self);
    /// Says whether it never runs again, because its runtime has ended and left it suspended: others are not to wait for it. It takes
    /// no lock, and calls nobody else.
    fn is_gone(&self) -> bool;
}

/// As [`Blocker::sleeper`] has it where a runtime does not know better.
struct Unparked(Unparker);

impl Sleeper for Unparked {
    fn wake(&self) {
        (self.0)();
    }

    fn is_gone(&self) -> bool {
        false
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// What was waited for is there, or perhaps is.
    Called,
    /// The deadline came first.
    Over,
    /// The task is to give up: [`Blocker::checkpoint`] says why.
    Interrupted,
    /// The operating system has refused the wait, with this errno.
    Refused(i32),
}

/// A runtime's way to suspend its tasks. All but `in_task`, `task`, `home_port` and `start_thread` are called in a task only.
pub trait Blocker: Sync {
    /// Whether the caller is a task.
    fn in_task(&self) -> bool;
    /// A number of the calling task's that no other task has; 0 outside of tasks. As provided it is 0: then tasks are told apart by
    /// their thread-locals.
    fn task(&self) -> u64 {
        0
    }
    /// Fails if the task was cancelled, or a deadline around the call has come. The error is the delivery: it is not
    /// repeated.
    fn checkpoint(&self) -> io::Result<()>;
    /// Suspends the calling task until `called` says so. Whoever makes it true calls the unparker afterwards.
    fn wait(&self, called: &dyn Fn() -> bool, deadline: Option<Instant>) -> Waited;
    /// What makes the calling task look at `called` again, from any thread.
    fn unparker(&self) -> Unparker;
    /// Suspends the calling task until `fd` is readable.
    fn wait_readable(&self, fd: BorrowedFd<'_>, deadline: Option<Instant>) -> Waited;
    /// As [`wait_readable`](Self::wait_readable), but `called` may end the wait, too; whoever makes that true calls the unparker
    /// afterwards. As provided it is asked every ten milliseconds.
    fn wait_readable_or_called(
        &self,
        fd: BorrowedFd<'_>,
        called: &dyn Fn() -> bool,
        deadline: Option<Instant>,
    ) -> Waited {
        loop {
            let look = Instant::now() + Duration::from_millis(10);
            if called() {
                return Waited::Called;
            }
            match self.wait_readable(fd, Some(deadline.map_or(look, |at| at.min(look)))) {
                Waited::Over if deadline.is_none_or(|at| Instant::now() < at) => {}
                waited => return waited,
            }
        }
    }
    /// The calling task, for those who are to wake it. As provided it has the [`unparker`](Self::unparker), and is never gone.
    fn sleeper(&self) -> Box<dyn Sleeper> {
        Box::new(Unparked(self.unparker()))
    }
    /// The port that a request posted by the caller should best go through.
    fn home_port(&self) -> Option<usize>;
    /// Starts a thread of the channel's, which lives as long as `body` runs. (Called anywhere, also on a task's stack.) As provided std does.
    ///
    /// # Errors
    /// The system gives none.
    fn start_thread(&self, builder: Builder, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        builder.spawn(body).map(drop)
    }
}

static BLOCKER: OnceLock<&'static dyn Blocker> = OnceLock::new();

/// Installs the runtime's way to suspend, for the whole process. The first one stays; tells whether it was this.
///
/// # Safety
/// The blocker does what its methods say, for all tasks of the process: every channel waits by it, and a runtime that comes later finds
/// the place taken.
pub unsafe fn set_blocker(blocker: &'static dyn Blocker) -> bool {
    BLOCKER.set(blocker).is_ok()
}

pub(crate) fn installed() -> Option<&'static dyn Blocker> {
    BLOCKER.get().copied()
}

/// Starts a thread of the channel's.
pub(crate) fn start_thread(builder: Builder, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    match installed() {
        Some(blocker) => blocker.start_thread(builder, body),
        None => builder.spawn(body).map(drop),
    }
}

/// The blocker, if the caller is a task.
pub(crate) fn current() -> Option<&'static dyn Blocker> {
    installed().filter(|b| b.in_task())
}

/// A number that the calling task has for itself, or the thread where there is none. Not 0.
#[inline(never)]
pub(crate) fn caller_number() -> u64 {
    // (Its address is even.)
    thread_local!(static HERE: u64 = const { 0 });
    match installed().map_or(0, |blocker| blocker.task()) {
        0 => HERE.with(|here| std::ptr::from_ref(here).addr() as u64),
        task => task << 1 | 1,
    }
}
