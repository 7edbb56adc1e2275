//! Ways for tasks and plain threads to wait for each other.
//!
//! Everything here works from both: a task suspends, a thread blocks.

mod base;
pub mod channel;
mod condvar;
pub mod mpsc;
mod mutex;
mod notification;
pub mod oneshot;
mod poison;
mod raw_mutex;

pub use condvar::Condvar;
pub use lock_api;
pub use mutex::{Mutex, MutexGuard};
pub use notification::Notification;
pub use poison::WaitTimeoutResult;
pub use raw_mutex::RawMutex;
#[doc(no_inline)]
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};
