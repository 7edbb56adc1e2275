//! What all the tasks are doing, for the dump.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::task::registry::live_tasks_of;
use crate::task::{FINISHED, Kind, RUNNING, Scheduler, Task, TaskId, Tokens};
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
    /// For how long it has been waiting, to some milliseconds.
    pub since: Option<Duration>,
    /// What runs it.
    pub kind: Kind,
    /// The addresses its frames may use. `None`: its thread's stack, or it has not run yet.
    pub stack: Option<Range<usize>>,
    /// Whether it was cancelled.
    pub cancelled: bool,
}

impl Task {
    /// What the task is doing: a snapshot for people.
    pub fn info(&self) -> TaskInfo {
        TaskInfo::of(self)
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
            since: wait.map(|wait| wait.lasted()),
            kind: header.kind,
            stack: header.stack().map(|(low, high)| low..high),
            cancelled: task.is_cancelled(),
        }
    }
}

/// What every task of `scheduler` is doing that has not ended, by number (roughly by age). For people: it takes time in
/// proportion to all tasks of the process. Empty in a forked child.
pub fn tasks_of<S: Scheduler>(scheduler: &S) -> Vec<TaskInfo> {
    let mut infos: Vec<_> = live_tasks_of(scheduler).iter().map(Task::info).collect();
    infos.sort_by_key(|info| info.id);
    infos
}
