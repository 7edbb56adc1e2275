//! What can run a task.

/// What runs a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A stack with thread-locals of its own: any worker's thread runs it, and to the language it is a
    /// thread. Where that does not work (`own_thread_locals` says whether) the task
    /// becomes a dedicated one.
    #[default]
    Own,
    /// A bare stack that any worker's thread runs; it shares that thread's thread-locals.
    Lean,
    /// An OS thread of its own.
    Dedicated,
}
