//! All tasks that have not ended.
//!
//! Every task is in one of a few lists, chained through the headers. Its end takes it out before the run reference
//! goes, so whatever is found in a list is alive.

#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use super::header::{Header, Task};
use super::id::{self, TaskId};
use super::kind::Kind;
use super::scheduler::Scheduler;
use crate::util::forked::forked;
use crate::util::lock::Mutex;

#[repr(align(64))]
struct List(Mutex<First>);

struct First(*const Header);

// SAFETY: the headers in the list may be shared (see `Task`), and their links are used under the
// list's lock only.
unsafe impl Send for First {}

/// Several, so that workers do not meet at one lock.
static REGISTRY: [List; 16] = [const { List(Mutex::new(First(ptr::null()))) }; 16];

fn list_of(id: TaskId) -> &'static List {
    // Workers fetch numbers in blocks: each has a list of its own for a while.
    &REGISTRY[(id.as_u64() / id::AT_A_TIME) as usize % REGISTRY.len()]
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

/// Every task of `scheduler` that has not ended, in no order: for a shutdown, which cancels
/// them. As for [`tasks_of`](crate::tasks_of); empty in a forked child.
pub fn live_tasks_of<S: Scheduler>(scheduler: &S) -> Vec<Task> {
    live(|task| task.is_of(scheduler))
}

/// As [`live_tasks_of`], but only those of one kind.
pub fn live_tasks_of_kind<S: Scheduler>(scheduler: &S, kind: Kind) -> Vec<Task> {
    live(|task| task.is_of(scheduler) && task.kind() == kind)
}

/// Every task of the process that has not ended, in no order; empty in a forked child.
pub fn live_tasks() -> Vec<Task> {
    live(|_| true)
}

fn live(is: impl Fn(&Task) -> bool) -> Vec<Task> {
    let mut tasks = Vec::new();
    if forked() {
        return tasks;
    }
    for list in &REGISTRY {
        // No memory is asked for, nor given back, under the lock: an allocator is somebody's code, and may spawn tasks.
        while let Err(missing) = add_tasks_of(&is, list, &mut tasks) {
            // (Some more: there will be others by then.)
            tasks.reserve(missing + missing / 8 + 8);
        }
    }
    tasks
}

/// The tasks of one list go to `tasks`, if there is room for all of them. Else nothing is done: for so many there must be room.
fn add_tasks_of(is: &impl Fn(&Task) -> bool, list: &List, tasks: &mut Vec<Task>) -> Result<(), usize> {
    let first = list.0.lock();
    let all = || {
        let mut next = first.0;
        std::iter::from_fn(move || {
            // SAFETY: what is in the list is alive, and stays so while we hold the lock.
            let task = unsafe { Task::borrow(NonNull::new(next.cast_mut())?) };
            next = task.header().links.next.get();
            Some(task)
        })
        .filter(|task| is(task))
    };
    let count = all().count();
    if count > tasks.capacity() - tasks.len() {
        return Err(count);
    }
    // (A clone counts: each is kept alive from here on.)
    all().for_each(|task| tasks.push(Task::clone(&task)));
    Ok(())
}
