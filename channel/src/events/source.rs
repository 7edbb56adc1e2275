//! The descriptor of a request, kept open while the request is in flight.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// A shared hold on something with a descriptor: a request keeps one until it has come back, so the
/// descriptor can be neither closed nor reused meanwhile.
///
/// Made from an `Arc` of anything that is `AsFd` (a socket that stays yours too), from an `OwnedFd`, or from one
/// of std's sockets.
///
/// ```
/// use ec_channel::Source;
/// use std::sync::Arc;
/// let socket = Arc::new(std::net::UdpSocket::bind("127.0.0.1:0")?);
/// let source = Source::from(socket.clone()); // ours as before
/// # drop(source);
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
    std::fs::File
);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source(fd {})", self.raw())
    }
}
