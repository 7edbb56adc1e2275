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
//! The way of a task: [`PoolHandle::spawn`] makes it ready; it is queued on the core of whoever made it ready, or in
//! the injector (`shared.rs`); one sleeper is woken for it unless somebody is looking for work
//! already (`idle.rs`); a worker takes or steals it and runs it (`worker.rs`) until it suspends, for instance on
//! an operation in the port of the core it runs on ([`current_port`]); a worker that
//! drives this port finds the completion, which makes the task ready again.
//!
//! A task that blocks its thread costs the pool a thread, not a core: the monitor (`monitor.rs`) notices, takes the core away from
//! the worker (`lease.rs`) and gives it to a spare thread (`spares.rs`), with its run queue and its port. The worker gives its task
//! back when that suspends, and becomes a spare itself; spares that nobody needs leave (`crew.rs`). A task that has blocked once is given
//! to a spare thread the next time, without a core (`run.rs`).

#![deny(unsafe_code)]

mod admission;
mod asleep;
mod blocker;
mod blocking;
mod builder;
mod callers;
mod cancel;
mod company;
mod core;
mod courtesy;
mod cpus;
mod crew;
mod deadline;
mod dump;
mod events;
mod fence;
mod forced;
mod housekeeper;
mod idle;
mod joining;
mod kernel;
mod lease;
mod lifecycle;
mod metrics;
mod monitor;
mod notifier;
mod outside;
mod pace;
mod pool;
mod quiet;
mod ready;
mod refused;
mod run;
mod run_queue;
mod seat;
mod shared;
mod shutdown;
mod spares;
mod spin;
mod sync;
mod thread;
pub mod wait;
mod watchman;
mod worker;

pub use blocking::blocking;
pub use builder::Builder;
pub use cancel::Cancelled;
pub use cpus::available_cpus;
pub use dump::Dump;
pub use events::{AtCap, Blocked, PoolEvent};
pub use metrics::Metrics;
pub use pool::{
    Here, Pool, PoolHandle, current, current_port, in_handler, is_abandoned, with_channel, with_current,
};
#[doc(hidden)]
pub use quiet::quietly;
pub use shutdown::ShutdownError;
