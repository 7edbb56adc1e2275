//! What all the tasks are doing, for the dump.
//!
//! Every task that has not ended is in one of a few lists, chained through the headers. An end
//! takes it out before the run reference goes, so that whatever is found in a list is alive.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::header::{FINISHED, Header, RUNNING, Task, TaskId};
use crate::lock::Mutex;
use crate::quiet::catch_quietly;
use crate::scheduler::{self, Scheduler};
use crate::spawn::Kind;
use crate::tokens::Tokens;
use crate::worker::IDS;

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
        let waits_for = match (wait, parked.map(scheduler::accepted)) {
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

/// A task's neighbours in its list, guarded by the list's lock.
pub(crate) struct Links {
    previous: Cell<*const Header>,
    next: Cell<*const Header>,
}

impl Links {
    pub(crate) fn new() -> Self {
        Links { previous: Cell::new(ptr::null()), next: Cell::new(ptr::null()) }
    }
}

#[repr(align(64))]
struct List(Mutex<First>);

struct First(*const Header);

// SAFETY: the headers in the list may be shared (see `Task`), and their links are used under the
// list's lock only.
unsafe impl Send for First {}

/// Several, so that workers do not meet at one lock.
static LISTS: [List; 16] = [const { List(Mutex::new(First(ptr::null()))) }; 16];

fn list_of(id: TaskId) -> &'static List {
    // Workers fetch numbers in blocks: each has a list of its own for a while.
    &LISTS[(id.as_u64() / IDS) as usize % LISTS.len()]
}

/// Puts a task, which has not run yet, into its list.
pub(crate) fn insert(task: NonNull<Header>) {
    // SAFETY: the caller has the run reference; what is in the list is alive.
    unsafe {
        let header = task.as_ref();
        let mut first = list_of(header.id).0.lock();
        header.links.next.set(first.0);
        if let Some(next) = first.0.as_ref() {
            next.links.previous.set(task.as_ptr());
        }
        first.0 = task.as_ptr();
    }
}

/// Takes a task out of its list, before the run reference goes.
pub(crate) fn remove(task: NonNull<Header>) {
    // SAFETY: as for `insert`.
    unsafe {
        let header = task.as_ref();
        let mut first = list_of(header.id).0.lock();
        let (previous, next) = (header.links.previous.get(), header.links.next.get());
        match previous.as_ref() {
            Some(previous) => previous.links.next.set(next),
            None => first.0 = next,
        }
        if let Some(next) = next.as_ref() {
            next.links.previous.set(previous);
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

/// Every task of `scheduler` that has not ended, in no order: for a shutdown, which cancels
/// them. As for [`tasks_of`]; empty in a forked child.
pub fn live_tasks_of<S: Scheduler>(scheduler: &S) -> Vec<Task> {
    let mut tasks = Vec::new();
    if crate::fork::forked() {
        return tasks;
    }
    for list in &LISTS {
        // No memory is asked for, nor given back, under the lock: an allocator is somebody's code, and may spawn tasks.
        while let Err(missing) = add_tasks_of(scheduler, list, &mut tasks) {
            // (Some more: there will be others by then.)
            tasks.reserve(missing + missing / 8 + 8);
        }
    }
    tasks
}

/// The tasks of one list go to `tasks`, if there is room for all of them. Else nothing is done: for so many there must be room.
fn add_tasks_of<S: Scheduler>(scheduler: &S, list: &List, tasks: &mut Vec<Task>) -> Result<(), usize> {
    let first = list.0.lock();
    let all = || {
        let mut next = first.0;
        std::iter::from_fn(move || {
            // SAFETY: what is in the list is alive, and stays so while we hold the lock.
            let task = unsafe { Task::borrow(NonNull::new(next.cast_mut())?) };
            next = task.header().links.next.get();
            Some(task)
        })
        .filter(|task| task.is_of(scheduler))
    };
    let count = all().count();
    if count > tasks.capacity() - tasks.len() {
        return Err(count);
    }
    // (A clone counts: each is kept alive from here on.)
    all().for_each(|task| tasks.push(Task::clone(&task)));
    Ok(())
}
