//! The descriptor of a request, kept open while the request is in flight.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

/// A shared hold on something with a descriptor: a request keeps one until it has come back, so the
/// descriptor can be neither closed nor reused meanwhile.
///
/// Made from an `Arc` of anything that is `AsFd` (a socket that stays yours too), from an `OwnedFd`, or from what std opens: files, sockets,
/// pipes, those of a child, and the standard streams. It is given back by [`Event::source`](crate::Event::source).
///
/// ```
/// use ec_channel::Source;
/// use std::sync::Arc;
/// let socket = Arc::new(std::net::UdpSocket::bind("127.0.0.1:0")?);
/// let source = Source::from(socket.clone()); // ours as before
/// # drop(source);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A request knows the descriptor only, not what std keeps in memory beside it. Of a [`Stdin`](std::io::Stdin) it does not see what was read
/// ahead. What it writes to a [`Stdout`](std::io::Stdout) comes before what `print!` has not written yet. (Neither has its mode changed.)
///
/// ```
/// # use ec_channel::{EventChannel, Request};
/// # use std::process::{Command, Stdio};
/// let channel = EventChannel::new()?;
/// let mut child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
/// channel.post(Request::read(child.stdout.take().unwrap(), Vec::with_capacity(64)))?;
/// let event = channel.get_event()?;
/// channel.post(Request::write(std::io::stdout(), event.buffer().to_vec()))?;
/// assert_eq!(channel.get_event()?.result()?, 6);
/// # child.wait()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Source(Arc<dyn AsFd + Send + Sync>);

impl Source {
    pub(crate) fn raw(&self) -> RawFd {
        // The borrow that as_fd gives is good for as long as the Arc, and that is in the request beside the number.
        self.0.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + Send + Sync + 'static> From<Arc<T>> for Source {
    fn from(it: Arc<T>) -> Self {
        Self(it)
    }
}

macro_rules! from_owner {
    ($($t:ty),*) => {$(
        impl From<$t> for Source {
            fn from(it: $t) -> Self {
                Self(Arc::new(it))
            }
        }
    )*};
}

from_owner!(
    OwnedFd,
    std::net::TcpListener,
    std::net::TcpStream,
    std::net::UdpSocket,
    std::os::unix::net::UnixListener,
    std::os::unix::net::UnixStream,
    std::os::unix::net::UnixDatagram,
    std::fs::File,
    std::io::PipeReader,
    std::io::PipeWriter,
    std::process::ChildStdin,
    std::process::ChildStdout,
    std::process::ChildStderr,
    // (Those of these are the process's, and as good as open for ever.)
    std::io::Stdin,
    std::io::Stdout,
    std::io::Stderr,
    socket2::Socket
);

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source(fd {})", self.raw())
    }
}
