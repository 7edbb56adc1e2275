//! Who would not stop, in words.

use crate::size::kernel;
use crate::size::threads::WorkerInfo;
use crate::worker::shared::Shared;
use ec_tasks::{Task, TaskId};
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// The tasks that live, but for those in `spared`; each with the thread that it keeps, if it does.
pub(super) fn tasks(shared: &Shared, spared: &[TaskId]) -> (Vec<TaskId>, Vec<String>) {
    let mut tasks = ec_tasks::live_tasks_of(shared);
    tasks.retain(|task| !spared.contains(&task.id()));
    tasks.sort_by_key(Task::id);
    let inside = shared.size.threads.all().into_iter().filter(|worker| worker.info.taker.is_in_user_code());
    let inside: HashMap<u64, _> =
        inside.map(|worker| (worker.info.task.load(Ordering::Relaxed), worker)).collect();
    let in_words = |task: &Task| {
        // (Not what it waits for: to describe that is the program's code.)
        let title = crate::dump::title(task.id(), task.name());
        match inside.get(&task.id().as_u64()) {
            Some(worker) => format!("{title}, which keeps {}", thread(&worker.info)),
            None => match task.own_thread() {
                Some(own) => format!("{title}, which keeps its own thread{}", in_call(own)),
                None => title,
            },
        }
    };
    (tasks.iter().map(Task::id).collect(), tasks.iter().map(in_words).collect())
}

/// A worker that has not left; nothing if that is because of a task in `named`.
pub(super) fn worker(info: &WorkerInfo, named: &[TaskId]) -> Option<String> {
    if !info.taker.is_in_user_code() {
        return Some(format!("code that does not return, or not yet, on {}", thread(info)));
    }
    match info.task.load(Ordering::Relaxed) {
        0 => Some(format!("a handler of an event on {}", thread(info))),
        id if named.iter().any(|named| named.as_u64() == id) => None,
        _ => Some(format!("user code on {}", thread(info))),
    }
}

/// Its name, and the system call that it waits in.
fn thread(info: &WorkerInfo) -> String {
    format!("{}{}", info.name, in_call(info.tid()))
}

fn in_call(thread: kernel::Tid) -> String {
    kernel::call_of(thread).map_or_else(String::new, |call| format!(" (in {call})"))
}
