//! A snapshot of all tasks of a pool: who is in which state, doing what, since when. And how people read it.

mod table;

use ec_tasks::{TaskId, TaskInfo};
use std::borrow::Cow;
use std::fmt;

/// Every live task of a pool, as a call of `dump` found it.
///
/// Printed with `{}` it is a table for people, in the order in which one looks when something hangs: first the tasks that are on a
/// thread, with what the kernel says of it; then those that wait for a worker; then those that are suspended. Of each kind the one
/// that has been at it the longest comes first. Tasks whose lines are equal share one, with their number, the id of the one that has
/// waited the longest, and the span of the times. If many lines differ in numbers only, they share one, too, with a `#` in the place of
/// the numbers. What would break a line in a task's name is escaped.
///
/// ```text
///     id            name    state      since           what
///     12            report  running    61.2 s          computes, on ec-worker-1 (thread 4711)
///     31            writer  running    12.0 s          asleep in write: descriptor 5, on ec-worker-4 (thread 4714)
///     40  × 1,000   conn #  suspended  2.1 h to 3 ms   recv: descriptor #
/// 1,002 tasks: 2 running, 1,000 suspended
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Dump {
    /// The tasks, oldest first, each by itself.
    pub tasks: Vec<TaskInfo>,
}

/// A task by its name, or as nameless, and its id.
pub(crate) fn title(id: TaskId, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("'{}' (id {id})", in_one_line(name)),
        None => format!("unnamed (id {id})"),
    }
}

/// Names are the program's, perhaps a peer's: what would break the line, or steer a terminal, is written as in a string of Rust's.
pub(crate) fn in_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escaped = |letter: char| letter.is_control().then(|| letter.escape_default().to_string());
    Cow::Owned(text.chars().map(|letter| escaped(letter).unwrap_or_else(|| letter.to_string())).collect())
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table::write(&self.tasks, f)
    }
}
