//! How a task begins, runs and ends.
//!
//! 1. [`spawn()`] makes the record and schedules the task. (For a dedicated task it starts the thread, `dedicated.rs`.)
//! 2. A worker calls [`Runnable::run`](crate::Runnable::run) (`run.rs`). The first time it gives the task a stack.
//! 3. At the end the result lies in the record (`cell.rs`), the stack goes back, and whoever joins the task is told
//!    (`end.rs`, `join.rs`).

mod cell;
mod dedicated;
mod end;
mod fork;
mod group;
mod join;
mod report;
mod run;
mod spawn;

pub use fork::{end_child, watch_forks};
pub use group::GroupNews;
pub use join::{End, JoinHandle};
pub use spawn::{SpawnOptions, spawn, spawn_in, spawn_in_group, spawn_unchecked};
