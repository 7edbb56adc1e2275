//! [`std::thread`] by its own names: a threaded program runs on tasks if only its `use` lines change.
//!
//! ```
//! use event_channel::thread; // was: use std::thread;
//! use std::time::Duration;
//!
//! let handles: Vec<_> = (0..4)
//!     .map(|number| {
//!         thread::spawn(move || {
//!             thread::sleep(Duration::from_millis(number));
//!             thread::current().id()
//!         })
//!     })
//!     .collect();
//! for handle in handles {
//!     let id = handle.thread().id();
//!     assert_eq!(handle.join().unwrap(), id);
//! }
//! ```
//!
//! These are the types and functions of [`task`](crate::task) and [`time`](crate::time), which say what is particular: where a task runs,
//! what it does that suspends, what a shutdown does to it. Here is what a program that comes from [`std::thread`] may notice.
//!
//! | of std | here |
//! | --- | --- |
//! | `spawn`, `Builder`, `JoinHandle` | a task. A [`Builder`] can do more: [`dedicated`](Builder::dedicated), for one. |
//! | `current`, `Thread`, `ThreadId` | the [task](crate::task::Task), and in a plain thread what stands for that |
//! | `scope`, `Scope`, `ScopedJoinHandle` | tasks that borrow; if one panics the others are cancelled |
//! | `sleep`, `park`, `park_timeout`, `yield_now` | suspend a task, block a plain thread |
//! | `LocalKey`, `AccessError`, `Result`, `panicking`, `available_parallelism` | std's own |
//!
//! **`thread_local!` is std's**, and stays as it is: a task has thread-locals of its own, which travel with it, and are dropped at its end
//! ([why](crate::task)). So there is no macro here, and [`LocalKey`] is that of `std::thread_local!`. (That of
//! [`task_local!`](crate::task_local) is [`task::LocalKey`](crate::task::LocalKey).)
//!
//! # What cannot be had
//! * **`Builder::spawn_unchecked`**: a task that is abandoned at a shutdown keeps its stack for good, and with it what it borrows.
//! * **`std::os::unix::thread::JoinHandleExt`** (`as_pthread_t`, `into_pthread_t`): a task is no thread of the system's, so there is nothing to join or to detach
//!   by the C library. A [dedicated](Builder::dedicated) task is one, and can ask for `pthread_self` itself.
//! * **std's own types**: a library that asks for a [`std::thread::Thread`] or a [`std::thread::JoinHandle`] takes neither of ours.
//!   [`std::thread::current`] works in a task and has a handle of its own, but its `unpark` ends only [`std::thread::park`], which
//!   blocks the thread.
//! * What is unstable in std (`sleep_until` as well: there is [`time::sleep_until`](crate::time::sleep_until)).
//!
//! # What is different
//! * A task has 192 KiB of stack where a thread has 2 MiB: [`Builder::stack_size`], or
//!   [`runtime::Builder::stack_size`](crate::runtime::Builder::stack_size) for all. The environment's `RUST_MIN_STACK` is for threads.
//! * The first `spawn` outside of tasks begins the default runtime. `main` itself stays a plain thread, which is equally right;
//!   [`event_channel::main`](macro@crate::main), or [`run`](crate::run), makes a task of it.
//! * The kernel does not know a task's name: it is in our dumps and messages.
//! * `join` does not return for a task that a shutdown has abandoned: see [`JoinHandle::join`].

use std::time::Duration;

pub use crate::task::{Builder, JoinHandle, Scope, ScopedJoinHandle, Task as Thread, TaskId as ThreadId};
#[doc(inline)]
pub use crate::task::{current, park, park_timeout, scope, sleep, spawn, yield_now};
#[doc(inline)]
pub use std::thread::{AccessError, LocalKey, Result, available_parallelism, panicking};

/// As [`sleep`], for so many milliseconds.
#[deprecated(note = "replaced by `event_channel::thread::sleep`, as std's is")]
pub fn sleep_ms(ms: u32) {
    sleep(Duration::from_millis(ms.into()));
}

/// As [`park_timeout`], for so many milliseconds.
#[deprecated(note = "replaced by `event_channel::thread::park_timeout`, as std's is")]
pub fn park_timeout_ms(ms: u32) {
    park_timeout(Duration::from_millis(ms.into()));
}
