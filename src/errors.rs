//! What an error of a call that waits says: the three that a program tells apart.

use crate::{Cancelled, Elapsed};
use std::io;

/// Does `error` say that the caller was cancelled: by [`JoinHandle::cancel`](crate::task::JoinHandle::cancel), by a
/// [token](crate::task::CancelToken), by a [shutdown](crate::Runtime::shutdown)? It holds a [`Cancelled`], and is of kind
/// [`Other`](io::ErrorKind::Other).
///
/// ```
/// use event_channel::{is_cancelled, task, time};
///
/// let task = task::spawn(|| time::sleep_cancellable(time::Duration::from_secs(3600)));
/// task.cancel();
/// assert!(is_cancelled(&task.join().unwrap().unwrap_err()));
/// ```
pub fn is_cancelled(error: &io::Error) -> bool {
    Cancelled::is(error)
}

/// Does `error` say that the deadline of a surrounding [`timeout`](crate::time::timeout) has come? It holds an [`Elapsed`], and is of kind
/// [`TimedOut`](io::ErrorKind::TimedOut). Others are of that kind as well: of a peer that does not answer, or of a
/// [`connect_timeout`](crate::net::TcpStream::connect_timeout).
///
/// ```
/// use event_channel::{is_deadline, task, time};
///
/// let result = time::timeout(time::Duration::from_millis(5), || {
///     loop {
///         task::check()?; // a computation without end
///     }
/// });
/// let error: std::io::Error = match result { Ok::<(), _>(()) => unreachable!(), Err(error) => error };
/// assert!(is_deadline(&error));
/// assert!(!is_deadline(&std::io::ErrorKind::TimedOut.into()));
/// ```
pub fn is_deadline(error: &io::Error) -> bool {
    Elapsed::is(error)
}

/// Does `error` say that the [read timeout](crate::net::TcpStream::set_read_timeout) of a socket (or its write timeout) is over? As with
/// std it is of kind [`WouldBlock`](io::ErrorKind::WouldBlock), and so is the error of a socket that was told not to wait
/// ([`set_nonblocking`](crate::net::TcpStream::set_nonblocking)).
///
/// ```
/// use event_channel::is_read_timeout;
/// use event_channel::net::UdpSocket;
/// use std::time::Duration;
///
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.set_read_timeout(Some(Duration::from_millis(5)))?;
/// assert!(is_read_timeout(&socket.recv(&mut [0; 16]).unwrap_err()));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn is_read_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
