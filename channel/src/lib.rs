//! The completion channel of `event-channel`: requests are posted as events, and each comes back once, completed.
//!
//! **For whom.** For programs that want the channel by itself, on plain threads: it needs no tasks and no pool. And for
//! whoever builds a runtime of their own on top of it. A program that uses `event-channel` has all of this as
//! `event_channel::channel`.
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
//! # How a request travels
//!
//! ```text
//!  post(request) --> port: inbox --> driver --> settled --> ready --> get_event() -> Event
//!                      |  timer wheel -----------^   |
//!  submit_raw(op) -----+                             +--> handler: on a pool's threads, or in get_event
//!                                                    +--> raw operation: wake(word)
//! ```
//! 1. **Posted.** A request owns what it needs: its buffer, a hold on its descriptor, the program's own number, context and handler. It is a
//!    box, which becomes the event. (A notification without context needs none.) `post` gives an id and returns at once.
//! 2. **Taken in.** A *port* is a driver with its timers. One thread at a time drives it; it does not matter which. It takes the inbox in,
//!    in order, so a cancel never overtakes its request. A deadline is a timer in the port's wheel.
//! 3. **Carried out.** The [driver](Driver) hands it to the kernel (io_uring), or waits until the descriptor is ready and makes the call
//!    (epoll, poll). What happens to the request on the way, a signal, a thread that exits, a rival that was faster, is the port's affair.
//! 4. **Settled.** One thread decides what came first: the result, a cancel, the deadline. Whatever was transferred is delivered.
//! 5. **Ready.** The event goes into a queue, and one getter is woken if all of them sleep. Or its handler is called.
//!
//! Each request comes back once, a stream after its items: also if it is cancelled, if its time is over, and if the channel is [shut down](EventChannel::shutdown).
//! An error of the request is [in its event](Event::result); an error of the channel is the call's.
//!
//! A channel used alone has one port, which is driven by whoever is in `get_event`. A pool has one for each core.
//!
//! # What there is
//!
//! Each kind of event is a constructor of [`Request`], whose page says what goes in, what comes back, and what a cancel does.
//!
//! | | |
//! | --- | --- |
//! | network | `accept`, [`accept_many`](Request::accept_many), `connect`, `recv`, `send`, `.._from`, `.._to`, `.._vectored`, [`recv_msg`](Request::recv_msg), `send_msg` (descriptors, credentials), [`recv_pooled`](Request::recv_pooled), [`send_zero_copy`](Request::send_zero_copy), `shutdown` |
//! | files | [`open`](Request::open), `close`, `read`, `write` (at the cursor; pipes and terminals, too), [`read_at`](Request::read_at), `write_at`, `.._vectored`, [`read_direct`](Request::read_direct), `write_direct`, `fsync`, `fdatasync`, `stat`, `allocate`, `truncate`, `advise`, `get_xattr`, `set_xattr`, ... |
//! | directories | `rename`, `link`, `symlink`, `read_link`, `unlink`, `mkdir`, `rmdir`, [`watch`](Request::watch) |
//! | from one descriptor to another | [`pump`](Request::pump) (until the end), `splice`, `tee` |
//! | any descriptor | [`readiness`](Request::readiness), `readiness_stream` |
//! | time | [`timer`](Request::timer), `interval`, [`wall_clock`](Request::wall_clock); and each request may have a limit: [`within`](Request::within) |
//! | processes | [`child_exit`](Request::child_exit), `process_exit`, `pidfd_exit`, [`signal`](Request::signal), `signals`, [`word`](Request::word) in shared memory, [`shm`] |
//! | the program's own | [`notification`](Request::notification), [`work`](Request::work) on a helper, [`signal_posts`](Request::signal_posts) |
//!
//! ```
//! # use ec_channel::{Driver, EventChannel, Request};
//! # use std::{fs::File, sync::Arc, process::Command, time::Duration};
//! # let channel = EventChannel::new()?;
//! # let path = std::env::current_exe()?;
//! let file = Arc::new(File::open(path)?);
//! let child = Command::new("true").spawn()?;
//! channel.post_all([
//!     Request::read_at(file, Vec::with_capacity(4096), 0).token(1),
//!     Request::child_exit(child).token(2),
//!     Request::work(|| (1..=20_u64).product::<u64>()).token(3),
//!     Request::timer(Duration::from_millis(1)).token(4),
//! ])?;
//! for _ in 0..4 {
//!     let mut event = channel.get_event()?;
//!     match event.token() {
//!         1 => println!("{} bytes, {:?} ..", event.result()?, &event.buffer()[..4]),
//!         2 => println!("{}", event.exit_status().unwrap()),
//!         3 => assert_eq!(event.take_work::<u64>().unwrap().unwrap(), 2_432_902_008_176_640_000),
//!         _ => println!("a millisecond is over"),
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//! The outcome is the same on each [driver](Driver). What a driver cannot do, or must not do twice, is done by **helper threads** of the
//! process: no more than 512, which leave after 10 s with nothing to do. Which kinds those are is in [`native_where`].
//!
//! # On which thread
//!
//! Whoever drives a port carries out what was posted there, or a helper does, which has what that thread had whose post started it. So what
//! a thread has for itself alone is not that of its requests: credentials (setfsuid(2)), a working directory, descriptors or namespaces of
//! its own (unshare(2)), seccomp filters, a signal mask, its priority, its CPUs. And requests of others may be carried out with it. What is
//! to hold for all requests is set before the process has its second thread; what is to hold for one call is for a call of the
//! program's own. ([`Driver::Direct`] carries out nearly all on the thread that gets the events.)
//!
//! # Styles
//!
//! **One loop** that gets everything, as above. With batches:
//!
//! ```
//! # use ec_channel::{EventChannel, Request};
//! # let channel = EventChannel::new()?;
//! channel.post_all((0..100).map(|n| Request::notification().token(n)))?;
//! let (mut sum, mut events) = (0, Vec::new());
//! while sum < 99 * 100 / 2 {
//!     channel.get_events(&mut events, 32, None)?; // waits for one, takes up to 32
//!     sum += events.drain(..).map(|event| event.token()).sum::<u64>();
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! **Many threads** that all do the same: one of them at a time looks after the operating system, the others sleep until there is
//! something for them. One event wakes one thread.
//!
//! ```
//! # use ec_channel::{EventChannel, Request};
//! # use std::time::Duration;
//! let channel = EventChannel::new()?;
//! std::thread::scope(|scope| {
//!     for _ in 0..4 {
//!         scope.spawn(|| {
//!             while let Ok(event) = channel.get_event() {
//!                 println!("{} is over", event.token());
//!             }
//!         });
//!     }
//!     for n in 0..10 {
//!         channel.post(Request::timer(Duration::from_millis(1)).token(n)).unwrap();
//!     }
//!     std::thread::sleep(Duration::from_millis(5));
//!     channel.shutdown(); // ends them, when all has come back
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! **Handlers.** A request brings what is to be done with its event. It is called by a thread that is in `get_event`; in a pool by the
//! workers.
//!
//! ```
//! # use ec_channel::{EventChannel, Request};
//! # use std::{sync::Arc, os::unix::net::UnixStream, io::{Read, Write}};
//! # let channel = EventChannel::new()?;
//! let (near, mut far) = UnixStream::pair()?;
//! let near = Arc::new(near);
//! let receive = Request::recv(near.clone(), Vec::with_capacity(16));
//! channel.post(receive.on_complete(move |channel, event| {
//!     if let Ok(1..) = event.result() {
//!         let _ = channel.post(Request::send(near.clone(), event.buffer().to_vec()).token(1));
//!         let _ = channel.post(event.again()); // the same buffer, the same handler
//!     }
//! }))?;
//! far.write_all(b"echo")?;
//! assert_eq!(channel.get_event()?.token(), 1); // the answer was sent; what has a handler is not got
//! let mut answer = [0; 4];
//! far.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"echo");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! **Streams.** Some requests give many events: each item once, in order, and then one that [is the last](Event::is_last).
//!
//! ```
//! # use ec_channel::{EventChannel, Request};
//! # use std::time::Duration;
//! # let channel = EventChannel::new()?;
//! let ticks = channel.post(Request::interval(Duration::from_millis(1)))?;
//! for _ in 0..3 {
//!     let tick = channel.get_event()?;
//!     println!("tick, after {} that nobody had time for", tick.missed());
//! }
//! channel.cancel(ticks);
//! while !channel.get_event()?.is_last() {}
//! # Ok::<(), std::io::Error>(())
//! ```
//! They are [`Request::interval`], [`Request::readiness_stream`], [`Request::accept_many`], [`Request::watch`] (what happens to files),
//! [`Request::signal`] and, for signal handlers of the program's own, [`Request::signal_posts`]. A stream whose items nobody fetches pauses
//! ([`Request::credit`]): nothing is dropped, and nothing piles up.
//!
//! **One thread by itself**: a [`LocalChannel`], whose handlers may share what is not `Send`, and to which others post by a [`Poster`].
//!
//! **No poller**: [`Driver::Direct`], for a plain client: each request is carried out in `get_event`, one at a time.
//!
//! **Operations** ([`raw`]) in place of events, for callers that suspend: they lie on the stack of whoever waits, nothing is allocated,
//! and the channel knows no more of the waiter than a function and a word. Both styles pass through the same ports.
//!
//! **Between processes**: what is complete is posted to a queue in shared memory, from which others take it ([`shm`]).
//!
//! # When nothing comes
//!
//! [`EventChannel::in_flight`] lists what was posted and has not come back, and says who has it: nobody yet, the driver, a helper, a stream that
//! lacks credit. So does `{:?}` of a channel, for the oldest. [`EventChannel::metrics`] says how much is complete and was not fetched.
//!
//! # What is safe
//!
//! All that has to do with [`EventChannel`], [`Request`], [`Event`], [`LocalChannel`] and [`shm`]. What runtimes need is `unsafe`:
//!
//! * to operate on the caller's memory ([`raw`]);
//! * to drive a channel's ports in place of its getters ([`EventChannel::serve`]);
//! * to say how tasks wait ([`set_blocker`]).

#![deny(unsafe_code)]

mod alarm;
mod blocker;
mod builder;
mod channel;
mod closing;
mod drivers;
mod events;
mod foreign;
mod fork;
mod getting;
#[doc(hidden)]
pub mod helpers;
mod id;
mod in_flight;
#[doc(hidden)]
pub mod interrupt;
mod kinds;
#[doc(hidden)]
pub mod line;
mod local;
mod lock;
mod luck;
mod mend;
mod occurrences;
mod operation;
mod pages;
mod ports;
mod post;
mod poster;
mod posts;
mod pot;
#[doc(hidden)]
pub mod queue;
mod registrar;
#[doc(hidden)]
pub mod ring;
pub mod shm;
mod sleeping;
mod submit;
mod sync;
mod sys;
mod visits;
mod waker;

// (What is not shown in the documentation says so itself: else it is shown where all is exported again.)
pub use alarm::{Alarm, Asleep};
pub use blocker::{Blocker, Sleeper, Unparker, Waited, set_blocker};
pub use builder::{ChannelBuilder, ChannelMetrics, PostAllError, PostError};
pub use drivers::{DRIVER_VARIABLE, Driver, DriverInfo, EXCLUDE_VARIABLE, Pace, will_submit};
pub use events::event::Event;
pub use events::request::Request;
pub use events::source::Source;
pub use getting::handler::HandlerCall;
pub use getting::internal::InternalError;
pub use getting::listed::tasks_were_left;
pub use getting::serve::{Completion, Completions, Serving};
pub use getting::shared::EventChannel;
pub use id::EventId;
pub use kinds::EventKind;
pub use kinds::accept::accept_now;
pub use kinds::advise::Advice;
pub use kinds::allocate::Allocation;
pub use kinds::ancillary::{Ancillary, Credentials};
pub use kinds::child_exit::ResourceUsage;
pub use kinds::failure::Failure;
pub use kinds::metadata::Metadata;
pub use kinds::notification::SignalPoster;
pub use kinds::open_options::OpenOptions;
pub use kinds::pooled::{BufferPool, PooledBuffer};
pub use kinds::readiness::Interest;
pub use kinds::signal::{Signal, SignalSender};
pub use kinds::watch::{Change, WatchFor};
pub use kinds::word::wake_word;
pub use local::{LocalBuilder, LocalChannel};
pub use lock::lock_held;
pub use luck::Luck;
pub use pages::Pages;
pub use ports::Wait;
pub use ports::in_flight::{InFlight, Stage};
pub use poster::Poster;
pub use sys::mode::{nonblocking, set_nonblocking};
pub use sys::poll::poll;

/// Which driver carries out which kind of event itself, and what helpers do.
pub mod native_where {
    #![doc = include_str!("../native-where.md")]
}

/// The crate whose [sockets](socket2::Socket) and [addresses](socket2::SockAddr) are taken and given here, in the version that they are of.
#[doc(no_inline)]
pub use socket2;

/// The operations beneath events, for callers that suspend: each with its parameters, to be put behind a head ([`Op`](raw::Op)).
pub mod raw {
    pub use crate::kinds::accept::Accept;
    pub use crate::kinds::advise::Advise;
    pub use crate::kinds::allocate::Allocate;
    pub use crate::kinds::ancillary::{Control, Received};
    pub use crate::kinds::close::Close;
    pub use crate::kinds::connect::Connect;
    pub use crate::kinds::fsync::Fsync;
    pub use crate::kinds::read::Read;
    pub use crate::kinds::read_at::ReadAt;
    pub use crate::kinds::read_at_vectored::ReadAtVectored;
    pub use crate::kinds::readiness::Poll;
    pub use crate::kinds::recv::Recv;
    pub use crate::kinds::recv_from::RecvMsg;
    pub use crate::kinds::recv_pooled::RecvPooled;
    pub use crate::kinds::send::Send;
    pub use crate::kinds::send_to::SendMsg;
    pub use crate::kinds::send_zero_copy::SendZeroCopy;
    pub use crate::kinds::shutdown::Shutdown;
    pub use crate::kinds::sort::Sort;
    pub use crate::kinds::truncate::Truncate;
    pub use crate::kinds::write::Write;
    pub use crate::kinds::write_at::WriteAt;
    pub use crate::kinds::write_at_vectored::WriteAtVectored;
    #[doc(inline)]
    pub use crate::operation::{Op, OpId, Operation, RawCompletion, RawOp, Timer};
    pub use crate::registrar::Registration;
}
