//! Networking with std's names, signatures and meanings, from tasks and from plain threads.
//!
//! Replace `std::net` by `event_channel::net`: the program compiles and means the same. Each type here
//! holds std's own type. Options, addresses and everything that returns at once go straight to it. So does
//! every call of a plain thread, which blocks as ever (inside a [`timeout`](crate::time::timeout) it waits in poll(2) first).
//!
//! In a task, a call that would block goes through three steps:
//!
//! 1. It attempts the work by one system call that does not wait, where that is likely to succeed.
//! 2. It posts the operation to the event channel.
//! 3. It suspends the task until the operation is complete.
//!
//! In detail:
//!
//! * **Blocking mode.** A descriptor keeps the mode it has. After `set_nonblocking(true)` calls return
//!   [`WouldBlock`](std::io::ErrorKind::WouldBlock) instead of waiting, in tasks as in threads. Change the mode with that
//!   method, not on the raw descriptor: the handles remember the mode, as they remember the timeouts.
//! * **Timeouts** are set in the kernel as std does. Tasks observe them as well, with std's error
//!   (`WouldBlock` on Unix).
//! * **Cancel and [`timeout`](crate::time::timeout)**: each call that may suspend and returns a `Result` is a
//!   [cancellation point](crate::task#cancellation), on entry and while it waits. Bytes that had arrived are returned, and
//!   bytes that were sent are counted; the error then comes with the next call.
//! * **`SO_RCVLOWAT`**: a call that finds some bytes there takes them, also if they are fewer.
//! * **Interrupted**: a plain thread's call may return it, as with std. A task's call never does.
//! * **Fairness.** A task whose calls never have to wait steps aside now and then, so that others get the core.
//! * **Host names** are looked up on a helper thread; the task suspends.

mod addrs;
mod bind;
mod close;
mod connect;
mod handles;
mod holders;
mod mode;
mod ready;
mod registered;
mod sys;
mod tcp_listener;
mod tcp_stream;
mod udp;

pub use addrs::{ToSocketAddrs, lookup_host};
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp::UdpSocket;
