//! Which pool the caller is in: that of the task that runs here, or of the worker whose handler does.

use crate::worker::context;
use crate::worker::shared::Shared;
use ec_channel::EventChannel;
use ec_tasks::{Kind, Task};

/// Calls `f` with the pool, whole, of the task that calls, or of the worker whose handler calls; with `None` on every other
/// thread and in a forked child.
pub(crate) fn with_shared<R>(f: impl FnOnce(Option<&Shared>) -> R) -> R {
    ec_tasks::with_current(|task| match task {
        Some(task) => f(shared_of(task)),
        // (Its worker does not end under a handler.)
        None => context::outside_of_tasks(|context| f(context.map(|context| &*context.shared))),
    })
}

/// The pool a task belongs to, if it is one of this crate's.
pub(crate) fn shared_of(task: &Task) -> Option<&Shared> {
    task.scheduler_as()
}

/// Whether `task`, which has not ended, never runs again: its pool has stopped and left it suspended, or it is a
/// task of the process that this one was forked from. (A dedicated task goes on without its pool: `wait/dedicated.rs`.)
pub fn is_abandoned(task: &Task) -> bool {
    ec_tasks::forked()
        || (task.kind() != Kind::Dedicated && shared_of(task).is_some_and(|shared| shared.life.is_stopped()))
}

/// Whether the caller runs directly on a worker of this pool, in the handler of an event: not in a task, nor where a task has stepped out
/// ([`ec_tasks::on_thread`]), and not on a thread of its own either. Waiting there for a task of the pool would hold up a worker of its own.
pub(crate) fn in_handler_of(shared: &Shared) -> bool {
    ec_tasks::with_current(|task| task.is_none())
        && !ec_tasks::is_on_thread_of_task()
        && context::here(|context| context.is_some_and(|context| context.is_of(shared)))
}

/// Calls `f` with the channel of [`current`](crate::current), without counting a reference. `f` must not suspend.
pub fn with_channel<R>(f: impl FnOnce(Option<&EventChannel>) -> R) -> R {
    with_shared(|shared| f(shared.map(|shared| &shared.channel)))
}

/// The port of the core that the caller runs on at this moment; for a dedicated task one that depends on
/// its id, for other threads 0. Modulo the channel's ports it is always a valid one.
pub fn current_port() -> usize {
    context::port_here()
        .unwrap_or_else(|| ec_tasks::with_current(|task| task.map_or(0, |task| task.id().as_u64() as usize)))
}
