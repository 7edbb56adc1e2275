//! What everything here stands on, and what knows nothing of tasks.

pub mod coarse;
pub(crate) mod crossing;
pub(crate) mod fields;
pub(crate) mod foreign;
pub(crate) mod fork_lock;
pub(crate) mod forked;
pub(crate) mod fp;
pub mod lock;
pub(crate) mod plain_thread;
pub mod room;
pub(crate) mod stderr;
pub(crate) mod thread_start;
