//! The completion channel of `event-channel`: requests are posted as events, and each comes back once, completed.
//!
//! **For whom.** For programs that want the channel by itself, on plain threads: it needs no tasks and no pool. And for
//! whoever builds a runtime of their own on top of it. A program that uses `event-channel` has all of this as
//! `event_channel::channel`.
//!
//! **What is safe.** All of the proactor style: [`EventChannel`], [`Request`], [`Event`]. A request owns its buffer,
//! and holds its descriptor while it is in flight. What runtimes need is `unsafe`:
//!
//! * to operate on the caller's memory ([`raw`]);
//! * to drive a channel's ports in place of its getters ([`EventChannel::serve`]);
//! * to say how tasks wait ([`set_blocker`]).
//!
//! ```
//! use ec_channel::{EventChannel, Request};
//! use std::os::unix::net::UnixStream;
//! use std::sync::Arc;
//!
//! let channel = EventChannel::new()?;
//! let (near, far) = UnixStream::pair()?;
//! let (near, far) = (Arc::new(near), Arc::new(far));
//! let receive = channel.post(Request::recv(near, Vec::with_capacity(16)))?;
//! channel.post(Request::send(far, b"hello".to_vec()))?;
//! for _ in 0..2 {
//!     let event = channel.get_event()?; // blocks until one is complete, whichever it is
//!     assert_eq!(event.result()?, 5);
//!     if event.id() == receive {
//!         assert_eq!(event.buffer(), b"hello");
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! ```text
//!  post(request) --> port: inbox --> driver (io_uring, epoll) --> completed --> get_event() -> Event
//!                      |  timer wheel ------------------------------^   |
//!  submit_raw(op) -----+                                                +--> handler, on the pool's threads
//!                                                                       +--> raw operation: wake(word)
//! ```
//! There are two styles, and both pass through the same ports:
//!
//! * *Proactor*: a boxed [`Event`] owns its buffers and holds its descriptor. Safe code posts it, and somebody gets it.
//! * *Task*: a [`raw::RawOp`] lies on the stack of whoever waits for it. Nothing is allocated. The channel knows no
//!   more of the waiter than a function and a word.
//!
//! A port is a driver with its timers. One thread at a time drives it. It does not matter which, so a port can be
//! handed from thread to thread. A channel used alone has one port, driven by whoever is in `get_event`. A pool has
//! one for each core.

#![deny(unsafe_code)]

mod alarm;
mod blocker;
mod builder;
mod channel;
mod drivers;
mod events;
mod foreign;
mod fork;
mod getting;
mod id;
mod kinds;
#[doc(hidden)]
pub mod line;
mod local;
mod lock;
mod operation;
mod ports;
mod submit;
mod sync;
mod sys;
mod waker;

#[doc(hidden)]
pub use alarm::{Alarm, Asleep};
pub use blocker::{Blocker, Sleeper, Unparker, Waited, set_blocker};
pub use builder::{ChannelBuilder, ChannelMetrics, PostAllError, PostError};
#[doc(hidden)]
pub use drivers::Pace;
pub use drivers::{DRIVER_VARIABLE, Driver, DriverInfo, EXCLUDE_VARIABLE};
pub use events::event::Event;
pub use events::request::Request;
pub use events::source::Source;
pub use getting::handler::HandlerCall;
pub use getting::listed::tasks_were_left;
pub use getting::serve::{Completion, Completions, Serving};
pub use getting::shared::EventChannel;
pub use id::EventId;
pub use kinds::accept::accept_now;
pub use kinds::readiness::Interest;
pub use kinds::{EventKind, Failure};
pub use local::{LocalBuilder, LocalChannel, Poster};
#[doc(hidden)]
pub use lock::lock_held;
pub use ports::Wait;
pub use sys::mode::{nonblocking, set_nonblocking};

/// The operations beneath events, for callers that suspend: each with its parameters, to be put behind a head ([`Op`](raw::Op)).
pub mod raw {
    pub use crate::kinds::accept::Accept;
    pub use crate::kinds::connect::Connect;
    pub use crate::kinds::readiness::Poll;
    pub use crate::kinds::recv::Recv;
    pub use crate::kinds::recv_from::RecvMsg;
    pub use crate::kinds::send::Send;
    pub use crate::kinds::send_to::SendMsg;
    pub use crate::kinds::timer::Timer;
    #[doc(inline)]
    pub use crate::operation::{Op, OpId, Operation, RawCompletion, RawOp};
}
