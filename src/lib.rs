//! Blocking-looking Rust on lightweight tasks, over one completion channel.
//!
//! # What it is
//! A *task* is a stackful coroutine that looks like a thread. When it calls `stream.read(..)` or
//! `sleep(..)`, the call posts a request to an [event channel](channel::EventChannel), suspends the task and lets the worker
//! thread run another. The channel (io_uring, epoll or poll underneath) returns what is complete. A pool of
//! workers, one for each CPU, drives the channel and resumes the task, often on another thread.
//!
//! There is no `async` and no other colour of function. Names, signatures and meanings are those of `std`, and every
//! call works on plain threads too. [`task::spawn`] is safe: a task has thread-locals of its own, which travel with
//! it. So to the language it is a thread (see [`task`]).
//!
//! ```
//! use event_channel::net::{TcpListener, TcpStream};
//! use event_channel::{run, task};
//! use std::io::{Read, Write};
//!
//! run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let server = task::spawn(move || {
//!         let (mut stream, _) = listener.accept()?;
//!         let mut request = [0; 5];
//!         stream.read_exact(&mut request)?; // suspends this task, not a thread
//!         stream.write_all(&request)
//!     });
//!     let mut client = TcpStream::connect(address)?;
//!     client.write_all(b"hello")?;
//!     let mut reply = String::new();
//!     client.read_to_string(&mut reply)?;
//!     assert_eq!(reply, "hello");
//!     server.join().unwrap()
//! })
//! # ;
//! # // The result of `run` is an `io::Result<()>`.
//! ```
//!
//! # The end of a server
//! A server ends in three steps:
//!
//! 1. Stop accepting, by a [cancel](task::JoinHandle::cancel) of the task that accepts.
//! 2. Wait for the connections, so that each can finish what it has begun.
//! 3. Call [`Runtime::shutdown`] with a limit of time. It cancels whoever is still there, waits for them that long, and
//!    names those that would not stop.
//!
//! ```
//! use event_channel::net::{TcpListener, TcpStream};
//! use event_channel::sync::Notification;
//! use event_channel::{Runtime, task, time};
//! use std::io::{self, Read, Write};
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! fn echo(mut stream: TcpStream) -> io::Result<()> {
//!     let mut buffer = [0; 1024];
//!     loop {
//!         match stream.read(&mut buffer)? {
//!             0 => return Ok(()),
//!             length => stream.write_all(&buffer[..length])?,
//!         }
//!     }
//! }
//!
//! let runtime = Runtime::new()?;
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let all_gone = Arc::new(Notification::new());
//! let told = all_gone.clone();
//! let server = runtime.spawn(move || {
//!     let mut connections = Vec::new();
//!     for stream in listener.incoming() {
//!         let Ok(stream) = stream else {
//!             time::sleep(Duration::from_millis(50)); // no descriptors left, say
//!             continue;
//!         };
//!         connections.retain(|connection: &task::JoinHandle<_>| !connection.is_finished());
//!         connections.push(task::spawn(|| echo(stream)));
//!     }
//!     drop(listener); // cancelled: from here on nobody connects any more
//!     connections.into_iter().for_each(|connection| _ = connection.join());
//!     told.post();
//! });
//!
//! let mut client = TcpStream::connect(address)?;
//! client.write_all(b"hello")?;
//! client.read_exact(&mut [0; 5])?;
//!
//! // In a program this is where it waits for a signal.
//! server.cancel();
//! drop(client);
//! if !all_gone.wait_timeout(Duration::from_secs(10)) {
//!     eprintln!("some connections are cut off");
//! }
//! if let Err(error) = runtime.shutdown(Duration::from_secs(1)) {
//!     eprintln!("{error}");
//! }
//! # server.join().unwrap();
//! # Ok::<(), io::Error>(())
//! ```
//! A program on the default runtime ([`run`]) does the first two steps and returns from `main`, or calls [`shutdown`](shutdown()). `examples/port7.rs` is a whole
//! server with such an end.
//!
//! # The parts
//! * [`run`] and [`Runtime`]: the pool and the way into it. `#[event_channel::main]` and `#[event_channel::test]` do the same as attributes.
//! * [`task`]: spawn, join, park, cancel. [`task_local!`]: values that belong to a task.
//! * [`thread`]: the same by the names of [`std::thread`], for programs that have only their `use` lines changed.
//! * [`net`], [`time`], [`sync`]: what suspends.
//! * [`future`]: what `async` code gives to tasks, and tasks to `async` code.
//! * [`channel`]: the channel itself, for programs that post requests and handle what comes back.
//!
//! # Limits of this version
//! Linux only. A task may block its thread: in a C library, in a long computation, on a `std::sync::Mutex` held
//! elsewhere. That costs the pool one more thread for as long as it lasts. There are at most
//! [`max_threads`](runtime::Builder::max_threads) in all. The system call that the task blocks in can be
//! ended by a cancel or a deadline only in [`task::interruptible`].
//!
//! # Fork
//! A forked child of a process that had a runtime, or a channel, has none, and can make none: that is an error, as is to spawn a task,
//! to post, and to get an event. The calls of this crate block there as on a plain thread, in the [timeouts](time::timeout), groups of
//! [tokens](task::CancelToken) and [shields](task::shield) that the fork was in; and to drop what the parent had does nothing. Daemonise before the
//! first `run`: a child that was forked before may do everything, and so may one that execs.
//!
//! The code that has forked goes on in the child, on the only thread there. When it comes to its end, so does the child:
//!
//! * in [`run`], as at the end of `main`: with 0, and after a panic with 101. The caller of `run` is not there to go on;
//! * in any other task, and in a handler, as at the end of a thread: with 0, also after a panic.

#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "event-channel supports Linux only (x86-64 and AArch64, glibc or musl; Linux 5.13 or later for io_uring, any for epoll)"
);

#[allow(unsafe_code)] // `GlobalAlloc` is an unsafe trait
pub mod alloc;
mod blocking;
mod errors;
#[allow(unsafe_code)] // `future::slot`: the contract of `ec_tasks::Watcher`; `future::streams`: a borrow
pub mod future;
mod queue;
mod twins;
mod waiter;

#[allow(unsafe_code)] // `net::sys`, `net::handles` and `net::tcp_stream`: system calls and descriptors
pub mod net;
pub mod runtime;
pub mod sync;
pub mod task;
pub mod thread;
pub mod time;

/// The completion channel by itself: post requests, get each back once, completed. [`Runtime::channel`] is one whose
/// ports the workers drive.
///
/// # One request from a task
/// What no wrapper of this crate does yet can be asked of the runtime's channel: the task posts the request, and is suspended until it is
/// back. Others may get events from that channel, so the request brings a handler. A worker calls it, and it wakes the task.
///
/// ```
/// use event_channel::channel::{Event, EventChannel, Request};
/// use event_channel::sync::Notification;
/// use event_channel::{Runtime, run};
/// use std::io;
/// use std::sync::{Arc, Mutex};
///
/// fn complete(channel: &EventChannel, request: Request) -> io::Result<Event> {
///     let back = Arc::new((Mutex::new(None), Notification::new()));
///     let theirs = back.clone();
///     channel.post(request.on_complete(move |_, event| {
///         *theirs.0.lock().unwrap() = Some(event);
///         theirs.1.post();
///     }))?;
///     back.1.wait(); // suspends the task; a plain thread is blocked
///     Ok(back.0.lock().unwrap().take().unwrap())
/// }
///
/// let length = run(|| {
///     let runtime = Runtime::current().unwrap();
///     let event = complete(runtime.channel(), Request::stat("Cargo.toml"))?;
///     event.result()?;
///     Ok::<u64, io::Error>(event.metadata().unwrap().len())
/// })?;
/// assert!(length > 0);
/// # Ok::<(), io::Error>(())
/// ```
/// A cancel of the task does not end that wait. A limit of time does: [`Request::within`](ec_channel::Request::within).
///
/// A task with many requests may have a channel of its own, and get its events in turn. That suspends it as well, and a cancel is an error
/// there. Each such channel has a driver, which takes some descriptors, so it is for some tasks, and not for thousands.
///
/// ```
/// use event_channel::channel::{EventChannel, Request};
/// use event_channel::run;
/// # use std::io;
///
/// run(|| {
///     let channel = EventChannel::builder().single_threaded().build()?;
///     channel.post(Request::stat("Cargo.toml"))?;
///     let event = channel.get_event()?;
///     assert!(event.metadata().unwrap().is_file());
///     Ok::<(), io::Error>(())
/// })?;
/// # Ok::<(), io::Error>(())
/// ```
pub mod channel {
    #[doc(inline)]
    pub use ec_channel::*;
}

pub use channel::EventChannel;
#[doc(inline)]
pub use ec_pool::{Cancelled, Elapsed};
pub use ec_tasks::task_local;

/// Makes of `main` a task: what the program does is done in the runtime, from its first line on.
///
/// It is [`run`] around the body. The process ends when that returns, as with `run`: other tasks are not waited for.
///
/// ```
/// use event_channel::{task, time};
/// use std::io;
///
/// #[event_channel::main]
/// fn main() -> io::Result<()> {
///     let other = task::spawn(|| time::sleep(time::Duration::from_millis(5)));
///     other.join().expect("it does not panic");
///     Ok(())
/// }
/// ```
///
/// `main` may return what it may anywhere: nothing, a [`Result`], an [`ExitCode`](std::process::ExitCode), or any other
/// [`Termination`](std::process::Termination). It need not be [`Send`]: an error is printed by the task. A panic goes on, and ends the
/// process with 101.
///
/// # Options
/// With any of these the program gets a runtime of its own instead of the default one. They are the methods of
/// [`runtime::Builder`], and take any expression:
///
/// ```
/// const MIB: usize = 1024 * 1024;
///
/// #[event_channel::main(cores = 2, max_threads = 8, stack_size = MIB, driver = "epoll")]
/// fn main() {
///     assert_eq!(event_channel::metrics().cores, 2);
/// }
/// ```
///
/// * [`cores`](runtime::Builder::cores), [`max_threads`](runtime::Builder::max_threads), [`stack_size`](runtime::Builder::stack_size),
///   [`keep_alive`](runtime::Builder::keep_alive)
/// * [`driver`](runtime::Builder::driver): `"io_uring"`, `"epoll"` or `"poll"`
/// * `crate`: the path to this crate, where it is not `::event_channel`. It makes no runtime.
///
/// What plain threads spawn belongs to the default runtime all the same.
///
/// # If the crate is renamed
/// The code that the attribute makes begins with `::event_channel`. Say how else it is called:
///
/// ```
/// extern crate event_channel as lightweight;
///
/// #[lightweight::main(crate = ::lightweight)]
/// fn main() {
///     assert_eq!(lightweight::task::current().name(), Some("main"));
/// }
/// ```
///
/// # Panics
/// As [`run`], or if the options make no runtime.
#[cfg(feature = "macros")]
pub use event_channel_macros::main;

/// Makes of a function a test whose body runs as a task, once on each driver that this machine has: io_uring, epoll and poll.
///
/// Each time it gets a runtime that is made for it, and shut down afterwards with a grace of a second; tasks that would not stop are
/// named then. It needs no `#[test]`, and is a test like others: `#[ignore]` and `#[should_panic]` work (it has to panic on each
/// driver), and it may return a [`Result`].
///
/// ```
/// # // (What follows is compiled. Documentation tests run no tests.)
/// use event_channel::sync::Notification;
/// use event_channel::task;
/// use std::sync::Arc;
///
/// #[event_channel::test]
/// fn a_post_is_kept() {
///     let posted = Arc::new(Notification::new());
///     let theirs = posted.clone();
///     task::spawn(move || theirs.post()).join().unwrap();
///     posted.wait();
/// }
///
/// #[event_channel::test(cores = 1, driver = "epoll")]
/// #[should_panic(expected = "on purpose")]
/// fn a_panic_goes_on() {
///     panic!("on purpose");
/// }
/// ```
///
/// * A panic names the driver, as the task's name has it: `task 'tests::a_post_is_kept on epoll' (id 7) panicked: ..`. The
///   test ends with the first driver on which it fails.
/// * A driver that cannot be had is skipped, and a line on stderr says why. If `EVENT_CHANNEL_DRIVER` names one, the others are skipped;
///   so are those in `EVENT_CHANNEL_EXCLUDE`.
/// * The options are those of [`main`](macro@crate::main). `driver` makes it the only one.
/// * What a task prints is its own, and the test harness does not catch it.
///
/// # Panics
/// If the test fails; on a driver name in the environment that there is none of; if the options make no runtime.
#[cfg(feature = "macros")]
pub use event_channel_macros::test;

/// For what the attributes make.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub use runtime::entry as __macros;

pub use errors::{is_cancelled, is_deadline, is_read_timeout};
pub use runtime::{Runtime, dump, metrics, run, shutdown};

/// The README's programs, compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
