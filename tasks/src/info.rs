//! What all the tasks are doing, for the dump.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::task::registry::live_tasks_of;
use crate::task::{FINISHED, Header, Kind, RUNNING, Scheduler, Task, TaskId, Tokens};
use crate::util::coarse;
use crate::util::foreign::catch_quietly;

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// In a run queue, or about to be.
    Ready,
    /// On a thread.
    Running,
    /// Waiting.
    Suspended,
    /// At its end.
    Finished,
}

/// What a task is doing: a snapshot, maybe out of date when it is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its number.
    pub id: TaskId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Where it is.
    pub state: TaskState,
    /// What it waits for, if it is suspended: "recv: descriptor 7", or "sleep".
    pub waits_for: Option<String>,
    /// For how long it has been suspended, or running without suspending, to some milliseconds. (A pool sees that a task runs when its
    /// monitor looks, every 4 ms. A run that no look has met yet counts as just begun.) `None`: it is neither, or nobody knows.
    pub since: Option<Duration>,
    /// The thread that runs it. `None`: it does not run, or it has just gone on to another thread; or whoever asks does not know the
    /// workers, as [`Task::info`] does not.
    pub thread: Option<ThreadInfo>,
    /// What runs it.
    pub kind: Kind,
    /// The addresses its frames may use. `None`: its thread's stack, or it has not run yet.
    pub stack: Option<Range<usize>>,
    /// Whether it was cancelled.
    pub cancelled: bool,
}

/// The thread that runs a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadInfo {
    /// Its number in the kernel, for `top -H`, `gdb` and the like.
    pub id: i32,
    /// The worker's name. `None`: it is a thread of the task's own.
    pub worker: Option<String>,
    /// What it does at this moment, as the kernel says.
    pub doing: Doing,
}

/// What a thread does, as the kernel says. Printed with `{}` it is a few words.
///
/// ```
/// assert_eq!(ec_tasks::Doing::Computing.to_string(), "computes");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// It computes, or waits for a CPU.
    Computing,
    /// It sleeps in the kernel.
    Asleep {
        /// The system call, by its name, or by its number on this architecture: "futex", "system call 23". `None`: it is in none (it
        /// may wait for a page of memory), or /proc does not tell.
        call: Option<String>,
        /// The descriptor, for a call on one: "read".
        descriptor: Option<i32>,
        /// The function of the kernel's in which it sleeps, if /proc tells that: "pipe_read".
        within: Option<String>,
    },
    /// /proc does not tell.
    Hidden,
}

impl ThreadInfo {
    /// As it is known without a look.
    pub fn new(id: i32, worker: Option<String>) -> ThreadInfo {
        ThreadInfo { id, worker, doing: Doing::Hidden }
    }
}

impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.worker {
            Some(worker) => write!(f, "{}, on {worker} (thread {})", self.doing, self.id),
            None => write!(f, "{}, on a thread of its own ({})", self.doing, self.id),
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doing::Computing => f.write_str("computes"),
            Doing::Asleep { call: Some(call), descriptor: Some(descriptor), .. } => {
                write!(f, "asleep in {call}: descriptor {descriptor}")
            }
            Doing::Asleep { call: Some(call), .. } => write!(f, "asleep in {call}"),
            Doing::Asleep { within: Some(within), .. } => write!(f, "asleep in the kernel's {within}"),
            Doing::Asleep { .. } => f.write_str("asleep, /proc does not tell where"),
            Doing::Hidden => f.write_str("/proc does not tell what it does"),
        }
    }
}

impl Task {
    /// What the task is doing: a snapshot for people.
    pub fn info(&self) -> TaskInfo {
        TaskInfo::of(self)
    }

    /// The kernel's number of the thread of a dedicated task, once that has begun. `None` for all others.
    pub fn own_thread(&self) -> Option<i32> {
        thread_of(self.header()).map(|thread| thread.id)
    }
}

impl TaskInfo {
    pub(crate) fn of(task: &Task) -> Self {
        let header = task.header();
        let parked = header.word.parked();
        let state = match (parked, header.phase.load(Ordering::Relaxed)) {
            (_, FINISHED) => TaskState::Finished,
            (Some(_), _) => TaskState::Suspended,
            (None, RUNNING) => TaskState::Running,
            (None, _) => TaskState::Ready,
        };
        let wait = header.wait.read().filter(|_| state == TaskState::Suspended);
        let waits_for = match (wait, parked.map(Tokens::from_bits)) {
            // (Who asks has not written it.)
            (Some(wait), _) => Some(match catch_quietly(|| (wait.kind.describe)(wait.token, wait.detail)) {
                Some(detail) if !detail.is_empty() => format!("{}: {detail}", wait.kind.name),
                _ => wait.kind.name.to_owned(),
            }),
            (None, Some(accept)) if accept.contains(Tokens::PARK) => Some("unpark".to_owned()),
            _ => None,
        };
        TaskInfo {
            id: header.id,
            name: header.name.as_deref().map(str::to_owned),
            state,
            waits_for,
            since: wait.map(|wait| wait.since).or_else(|| since(header, state)).map(coarse::since),
            thread: (state == TaskState::Running).then(|| thread_of(header)).flatten(),
            kind: header.kind,
            stack: header.stack().map(|(low, high)| low..high),
            cancelled: task.is_cancelled(),
        }
    }
}

/// When the task went into `state`, on the coarse clock, as far as its header says so.
fn since(header: &Header, state: TaskState) -> Option<u64> {
    let is_noted = match state {
        TaskState::Suspended => true,
        TaskState::Running => header.kind == Kind::Dedicated,
        TaskState::Ready | TaskState::Finished => false,
    };
    // (0: nobody ticks.)
    is_noted.then(|| header.since.load(Ordering::Relaxed)).filter(|&since| since != 0)
}

/// The thread of a dedicated task.
fn thread_of(header: &Header) -> Option<ThreadInfo> {
    let thread = header.parker.as_ref()?.thread()?;
    Some(ThreadInfo::new(thread, None))
}

/// What every task of `scheduler` is doing that has not ended, by number (roughly by age). For people: it takes time in
/// proportion to all tasks of the process. Empty in a forked child.
pub fn tasks_of<S: Scheduler>(scheduler: &S) -> Vec<TaskInfo> {
    let mut infos: Vec<_> = live_tasks_of(scheduler).iter().map(Task::info).collect();
    infos.sort_by_key(|info| info.id);
    infos
}
