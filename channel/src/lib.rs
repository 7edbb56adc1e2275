//! The completion channel of `event-channel`: requests are posted as events, and each comes back once, completed.
//!
//! ```text
//!  post(request) --> port: inbox --> driver (io_uring, epoll) --> completed --> get_event() -> Event
//!                      |  timer wheel ------------------------------^   |
//!  submit_raw(op) -----+                                                +--> handler, on the pool's threads
//!                                                                       +--> raw operation: wake(word)
//! ```
//! Two styles. *Proactor*: a boxed [`Event`] owns its buffers and holds its descriptor; safe code posts it and somebody
//! gets it. *Task*: a [`raw::RawOp`] lies on the stack of whoever waits for it; nothing is allocated, and the channel
//! knows no more of the waiter than a function and a word. Both pass through the same ports.
//!
//! A port is a driver with its timers. One thread at a time drives it; who that is does not matter, so a port can be
//! handed from thread to thread. A channel used alone has one port, driven by whoever is in `get_event`; a pool has
//! one for each core.

#![deny(unsafe_code)]

mod alarm;
mod blocker;
mod body;
mod builder;
mod channel;
mod driver;
mod event;
mod flight;
mod fork;
mod get;
mod id;
mod lock;
mod port;
mod quiet;
pub mod raw;
mod request;
mod serve;
mod slots;
mod source;
mod sync;
mod waiting;
mod waker;
mod wheel;

#[doc(hidden)]
pub use alarm::Alarm;
pub use blocker::{Blocker, Unparker, Waited, set_blocker};
pub use builder::{ChannelBuilder, ChannelMetrics, PostError};
pub use channel::EventChannel;
pub use driver::{DRIVER_VARIABLE, Driver, DriverInfo};
pub use event::{Event, EventKind, HandlerCall, Interest};
pub use id::EventId;
#[doc(hidden)]
pub use lock::lock_held;
pub use port::Wait;
pub use request::Request;
pub use serve::{Completion, Completions, Serving};
pub use source::Source;
