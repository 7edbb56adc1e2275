//! A snapshot of all tasks of a pool: who is in which state, waiting for what, since when.

use ec_tasks::{Scheduler, TaskId, TaskInfo};
use std::fmt;

/// Every live task of a pool, as [`Pool::dump`](crate::PoolHandle::dump) found it. Printed with `{}` it is a table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// The tasks, oldest first.
    pub tasks: Vec<TaskInfo>,
}

impl Dump {
    pub(crate) fn of(scheduler: &impl Scheduler) -> Dump {
        Dump { tasks: ec_tasks::tasks_of(scheduler) }
    }
}

/// A task by its name, or as nameless, and its id.
pub(crate) fn title(id: TaskId, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("'{name}' (id {id})"),
        None => format!("unnamed (id {id})"),
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>8}  {:<24}  {:<10}  {:>10}  waits for", "id", "name", "state", "since")?;
        for task in &self.tasks {
            let since = task.since.map_or_else(|| String::from("-"), |since| format!("{since:.1?}"));
            writeln!(
                f,
                "{:>8}  {:<24}  {:<10}  {:>10}  {}",
                task.id.to_string(),
                task.name.as_deref().unwrap_or("-"),
                format!("{:?}", task.state).to_lowercase(),
                since,
                task.waits_for.as_deref().unwrap_or("-"),
            )?;
        }
        write!(f, "{} tasks", self.tasks.len())
    }
}
