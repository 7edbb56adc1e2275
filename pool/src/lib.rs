//! The worker pool of `event-channel`: who runs which task where.
//!
//! **For whom.** A program uses `event-channel`, which starts tasks in safe code and has all that waits in them. This crate is a part
//! of it, for whoever builds a runtime of their own from the same parts.
//!
//! **What is safe.** To make a [`Pool`], to look at it and to end it, [`blocking`], and to wait for a condition or a point in time
//! ([`wait`]). To start a task is not: [`PoolHandle::spawn`] takes closures that borrow, and lean tasks. A safe function on
//! top of it asks for `F: FnOnce() -> T + Send + 'static` and `T: Send + 'static`, and makes no lean task: then the contract
//! is kept, and that is all that `event_channel::task::spawn` does about it. To wait for an operation on memory of the caller's
//! ([`wait::attempt`]) is not safe either.
//!
//! ```text
//!                    Pool
//!        ┌────────────┼─────────────┐          injector: work from threads
//!      core 0       core 1        core n       that hold no core
//!    run queue     run queue     run queue     (stolen from)
//!      port 0       port 1        port n       of one EventChannel
//!        ▲            ▲             ▲
//!     worker 0     worker 1     worker n       OS threads; each holds a core,
//!                                              runs what is ready, sleeps in its port
//!
//!     workers without a core: inside user code that blocks, or spare         monitor
//! ```
//! A **core** is the right to run tasks: a run queue and a port of the channel. There are as many as the process may
//! use CPUs ([`available_cpus`]). A **worker** is an OS thread that holds a core; nothing of a
//! core refers to the thread that holds it.
//!
//! **The way of a task.** [`PoolHandle::spawn`] makes it ready (`worker/scheduler.rs`). It is queued on the core of whoever made it
//! ready, or in the injector (`core/queues.rs`). One sleeper is woken for it, unless somebody is looking for work already
//! (`sleep/idle.rs`). A worker takes or steals it (`worker/search.rs`) and runs it (`worker/run.rs`) until it suspends, for instance
//! on an operation in the port of the core it runs on ([`current_port`]). A worker that drives this port finds the completion, which
//! makes the task ready again.
//!
//! **A task that blocks its thread** costs the pool a thread, not a core. The monitor (`size/monitor.rs`) notices. It takes the core
//! away from the worker (`core/lease.rs`) and gives it to a spare thread (`size/spares.rs`), with its run queue and its port. The
//! worker goes on with its task until that suspends, and becomes a spare itself. Spares that nobody needs leave (`worker/thread.rs`).
//! A task that has blocked once is given to a spare thread the next time, without a core (`worker/run.rs`).
//!
//! **The folders**, each of which imports only from those below it (`.ci/layers.py` has the order, and checks it):
//!
//! | folder | what it is |
//! | --- | --- |
//! | `pool.rs`, `builder.rs`, `shutdown.rs`, `metrics.rs` | the pool as its owner sees it |
//! | `wait/` | how a task waits: for an operation, a condition, a point in time; deadlines, cancels, the hint that it is about to block |
//! | `worker/` | an OS thread: its loop, one run, how it searches and parks; what is shared, and what tasks call |
//! | `interrupt/` | who ends the system calls of tasks in sections |
//! | `size/` | how many threads: the monitor, what the kernel says of a thread, spares, the cap, and who is told |
//! | `core/` | the right to run tasks: run queues, and the lease by which a core changes hands |
//! | `sleep/` | who sleeps and who searches, and what a worker does before it parks |
//! | `lifecycle.rs`, `dump/`, `awaited.rs`, `shutdown_error.rs` | which part of its life a pool is in; a snapshot of its tasks; a shutdown that a task waits for |
//! | `sync/`, `cpus.rs`, `joining.rs`, `grace.rs`, `foreign.rs` | primitives |

#![deny(unsafe_code)]

mod awaited;
mod builder;
mod core;
mod cpus;
mod dump;
mod foreign;
mod grace;
mod interrupt;
mod joining;
mod lifecycle;
mod metrics;
mod pool;
mod shutdown;
mod shutdown_error;
mod size;
mod sleep;
mod sync;
pub mod wait;
mod worker;

pub use builder::Builder;
pub use cpus::available_cpus;
pub use dump::Dump;
#[doc(hidden)]
pub use foreign::quietly;
pub use metrics::Metrics;
pub use pool::{Here, Pool, PoolHandle, current, with_current};
pub use shutdown_error::ShutdownError;
pub use size::events::{AtCap, Blocked, PoolEvent};
pub use wait::blocking::blocking;
pub use wait::cancel::Cancelled;
pub use wait::elapsed::Elapsed;
pub use wait::interruptible::interruptible;
pub use worker::current::{current_port, is_abandoned, with_channel};
