//! Ways for tasks and plain threads to wait for each other.
//!
//! Everything here works from both: a task suspends, a thread blocks.
//!
//! What is made by `named` has a name, which a [dump](crate::dump) shows of those who wait. Of all names that were ever waited for a process keeps the
//! first 65,535 different ones: what has another one is shown without it.

mod barrier;
mod base;
pub mod channel;
mod condvar;
mod lazy_lock;
pub mod mpsc;
mod mutex;
mod notification;
mod once;
mod once_lock;
pub mod oneshot;
mod poison;
mod raw_mutex;
mod raw_rwlock;
mod rwlock;
pub mod select;
mod semaphore;

#[doc(inline)]
pub use crate::select;
pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::Condvar;
pub use lazy_lock::LazyLock;
pub use lock_api;
pub use mutex::{Mutex, MutexGuard};
pub use notification::Notification;
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use poison::WaitTimeoutResult;
pub use raw_mutex::RawMutex;
pub use raw_rwlock::RawRwLock;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
#[doc(no_inline)]
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};
