//! The tasks of event-channel: each a stackful coroutine that looks like a thread. This crate
//! knows nothing of I/O, and runs nothing by itself: whoever has threads implements
//! [`Scheduler`] and calls [`Runnable::run`].
//!
//! **For whom.** A program uses `event-channel`. This crate is a part of it, for whoever builds a runtime of their own: with
//! the pool of `ec-pool`, or with threads and queues of their own as in the example below.
//!
//! **What is safe.** To start a task ([`spawn()`]), for the bounds are those of [`std::thread::spawn`]; and what a task does: join,
//! park, yield, cancel, task-locals ([`task_local!`]). To be a scheduler ([`Scheduler`]) and to make a thread run tasks
//! ([`prepare_worker_thread`]) are `unsafe`, because tasks rely on both; and so are tasks that borrow, lean tasks
//! ([`spawn_unchecked`]), and waking by a bare pointer ([`wake_raw`]).
//!
//! To the language a task is a thread: it has thread-locals of its own, which travel with it
//! ([`own_thread_locals`]); [`on_thread`] steps out of them.
//!
//! How a task passes through: [`spawn()`] makes sure of a stack for it ([`stack_stats`]) and schedules the
//! task; a worker gives it the stack and runs it; to wait, the task announces for what
//! ([`begin_wait`]) and calls [`suspend`]; a waker leaves a token ([`wake_raw`], [`Task::wake`]) and
//! schedules it again, maybe for another worker; at the end its stack is recycled and
//! [`JoinHandle::join`] gives the result.
//!
//! ```
//! use std::{any::Any, collections::VecDeque, sync::Arc};
//! use ec_tasks::{Outcome, Runnable, Scheduler, SpawnOptions, TaskId};
//! use parking_lot::Mutex;
//!
//! /// A scheduler of one thread.
//! #[derive(Default)]
//! struct Queue(Mutex<VecDeque<Runnable>>);
//!
//! // SAFETY: the loop below runs each once; nothing here waits, panics, or calls anybody else.
//! unsafe impl Scheduler for Queue {
//!     fn schedule(&self, task: Runnable) {
//!         self.0.lock().push_back(task);
//!     }
//!     fn task_finished(&self, _: TaskId) {}
//!     fn as_any(&self) -> &dyn Any {
//!         self
//!     }
//! }
//!
//! let queue = Arc::new(Queue::default());
//! let task = ec_tasks::spawn(queue.clone(), SpawnOptions::new().name("answer"), || {
//!     ec_tasks::yield_now();
//!     42
//! })?;
//! // SAFETY: it is dropped at the end, outside of tasks; nobody here sets a signal stack.
//! let _worker = unsafe { ec_tasks::prepare_worker_thread(queue.clone())? };
//! loop {
//!     let Some(ready) = queue.0.lock().pop_front() else { break };
//!     if let Outcome::Yielded(again) = ready.run() {
//!         queue.schedule(again);
//!     }
//! }
//! assert_eq!(task.join().unwrap(), 42);
//! # std::io::Result::Ok(())
//! ```

#![deny(unsafe_code)]
// Without thread-locals of a task's own much of what serves them is not used.
#![cfg_attr(
    not(all(
        feature = "own-tls",
        target_env = "gnu",
        target_arch = "x86_64",
        target_pointer_width = "64",
        not(target_feature = "crt-static"),
        not(miri)
    )),
    allow(dead_code)
)]

mod births;
mod cancel;
mod cell;
mod coroutine;
mod crossing;
mod current;
mod dedicated;
mod fork;
mod fp;
mod header;
mod info;
mod join;
mod local;
#[doc(hidden)]
pub mod lock;
mod overflow;
#[cfg_attr(
    not(all(
        feature = "own-tls",
        target_os = "linux",
        target_env = "gnu",
        target_arch = "x86_64",
        target_pointer_width = "64",
        not(target_feature = "crt-static"),
        not(miri)
    )),
    path = "own_unsupported.rs"
)]
mod own;
mod park_word;
mod quiet;
#[doc(hidden)]
pub mod room;
mod scheduler;
mod spawn;
mod stack;
mod sync;
mod thread;
mod tokens;
mod wait;
mod worker;
mod worker_guard;

/// For [`quietly_log!`].
#[doc(hidden)]
pub use log;

pub use births::start_thread;
pub use cancel::{cancel_pending, take_cancel};
#[doc(hidden)]
pub use crossing::{Crossing, assert_no_crossing, crossing, watch_crossings_of};
pub use current::{
    current, current_context, own_stack, park, suspend, suspend_for_op, with_current, with_scope_cell,
    yield_now,
};
pub use fork::{forked, watch_forks};
pub use fp::keeping_float_control;
pub use header::{Task, TaskId, wake_raw};
pub use info::{TaskInfo, TaskState, live_tasks_of, tasks_of};
pub use join::JoinHandle;
pub use local::{AccessError, LocalKey};
pub use quiet::{catch_quietly, drop_quietly};
pub use scheduler::{Outcome, Runnable, Scheduler};
pub use spawn::{Kind, SpawnOptions, spawn, spawn_in, spawn_unchecked};
pub use stack::guard::GuardKind;
#[doc(hidden)]
pub use stack::guard::force_protected_guards;
pub use stack::{DEFAULT_STACK_SIZE, StackStats, stack_stats, surplus_stacks, trim_stacks};
#[doc(hidden)]
pub use thread::breakable_facts;
pub use thread::{on_thread, on_thread_for_allocator, own_thread_locals};
pub use tokens::Tokens;
pub use wait::{CancelWait, WaitKind, begin_wait, end_wait};
pub use worker::worker_sleeps;
pub use worker_guard::{WorkerGuard, prepare_worker_thread};

#[cfg(not(target_os = "linux"))]
compile_error!("ec-tasks needs Linux");
