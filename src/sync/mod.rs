//! Ways for tasks and plain threads to wait for each other.
//!
//! Everything here works from both: a task suspends, a thread blocks.

mod notification;

pub use notification::Notification;
