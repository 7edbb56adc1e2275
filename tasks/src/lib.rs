//! The tasks of event-channel: each a stackful coroutine that looks like a thread. This crate
//! knows nothing of I/O, and runs nothing by itself: whoever has threads implements
//! [`Scheduler`] and calls [`Runnable::run`].
//!
//! **For whom.** A program uses `event-channel`, of which this crate is a part. The crate by itself is for whoever
//! builds a runtime of their own: with the pool of `ec-pool`, or with threads and queues of their own as in the
//! example below.
//!
//! **What is safe.** To start a task ([`spawn()`]) is safe: the bounds are those of [`std::thread::spawn`]. What a
//! task does is safe, too: join, park, yield, cancel, task-locals ([`task_local!`]). These are `unsafe`:
//!
//! * to be a scheduler ([`Scheduler`]) and to make a thread run tasks ([`prepare_worker_thread`]), because tasks rely
//!   on both;
//! * tasks that borrow, and lean tasks ([`spawn_unchecked`]);
//! * waking by a bare pointer ([`wake_raw`]).
//!
//! To the language a task is a thread. It has thread-locals of its own, which travel with it
//! ([`own_thread_locals`]). [`on_thread`] steps out of them.
//!
//! How a task passes through:
//!
//! 1. [`spawn()`] makes sure of a stack for the task ([`stack_stats`]) and schedules it.
//! 2. A worker gives it the stack and runs it.
//! 3. To wait, the task announces for what ([`begin_wait`]) and calls [`suspend`].
//! 4. A waker leaves a token ([`wake_raw`], [`Task::wake`]) and schedules it again, maybe for another worker.
//! 5. At the end its stack is recycled, and [`JoinHandle::join`] gives the result.
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

mod here;
mod info;
mod life;
mod local;
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
mod slab;
mod stack;
mod task;
mod thread;
mod util;
mod wait;
mod worker;

/// For [`quietly_log!`].
#[doc(hidden)]
pub use log;

pub use info::{Doing, TaskInfo, TaskState, ThreadInfo, tasks_of};
pub use life::{
    End, GroupNews, JoinHandle, SpawnOptions, end_child, spawn, spawn_in, spawn_in_group, spawn_unchecked,
    watch_forks,
};
pub use local::LocalKey;
pub use slab::guard::GuardKind;
#[doc(hidden)]
pub use slab::guard::force_protected_guards;
pub use stack::{DEFAULT_STACK_SIZE, StackStats, stack_stats, surplus_stacks, trim_stacks};
pub use task::locals::AccessError;
pub use task::registry::{live_tasks, live_tasks_of, live_tasks_of_kind};
pub use task::{
    CancelWait, Group, Kind, Outcome, Runnable, Scheduler, Task, TaskId, Tokens, WaitKind, Watcher,
};
#[doc(hidden)]
pub use thread::breakable_facts;
pub use thread::{on_thread, on_thread_for_allocator, own_thread_locals};
#[doc(hidden)]
pub use util::crossing::{Crossing, assert_no_crossing, crossing, watch_crossings_of};
pub use util::foreign::{catch_quietly, drop_quietly};
pub use util::forked::{count_forks, forked, forked_error, forks};
#[doc(hidden)]
pub use util::plain_thread::start_plain_thread;
#[doc(hidden)]
pub use util::stderr::write_to_stderr;
pub use util::thread_start::start_thread;
#[doc(hidden)]
pub use util::{coarse, lock, room};
pub use wait::{
    Follows, begin_wait, cancel_pending, current, current_context, end_wait, is_left_alone,
    is_on_thread_of_task, own_stack, park, suspend, suspend_for_op, suspend_for_op_until, take_cancel,
    wake_raw, was_cancelled, with_current, with_scope_cell, yield_now,
};
#[doc(hidden)]
pub use wait::{GROUPS, Interrupter, Stay, enter_section, in_section, set_interrupter};
pub use worker::{WorkerGuard, keeping_float_control, prepare_worker_thread, worker_sleeps};

#[cfg(not(target_os = "linux"))]
compile_error!("ec-tasks needs Linux");
