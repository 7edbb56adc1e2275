//! Names to addresses, without blocking a worker.
//!
//! std's `ToSocketAddrs` calls getaddrinfo(3) in place. The trait here has the same name, shape and
//! implementations. It hands names to a helper thread (`blocking/`); the task is suspended meanwhile.

use crate::blocking;
use ec_tasks::WaitKind;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::{iter, option, slice, vec};

static LOOKUP: WaitKind = WaitKind { name: "lookup_host", cancel: None, describe: |_, _| String::new() };

/// What can be turned into socket addresses; as [`std::net::ToSocketAddrs`], for the same types.
///
/// ```
/// use event_channel::net::{SocketAddr, ToSocketAddrs};
///
/// let mut addrs = ("127.0.0.1", 443).to_socket_addrs().unwrap();
/// assert_eq!(addrs.next(), Some(SocketAddr::from(([127, 0, 0, 1], 443))));
/// assert_eq!(addrs.next(), None);
/// ```
pub trait ToSocketAddrs {
    /// What [`to_socket_addrs`](Self::to_socket_addrs) returns.
    type Iter: Iterator<Item = SocketAddr>;

    /// The addresses. With a host name this suspends the task, or blocks the plain thread, until it is resolved.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the text is no address, the resolver's error, or
    /// that of a cancel or deadline.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter>;
}

impl ToSocketAddrs for SocketAddr {
    type Iter = option::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(Some(*self).into_iter())
    }
}

impl ToSocketAddrs for SocketAddrV4 {
    type Iter = option::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::V4(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for SocketAddrV6 {
    type Iter = option::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::V6(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for (IpAddr, u16) {
    type Iter = option::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::from(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for (Ipv4Addr, u16) {
    type Iter = option::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::from(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for (Ipv6Addr, u16) {
    type Iter = option::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::from(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, self.1)].into_iter()),
            Err(_) => resolve(self.0, self.1),
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (&*self.0, self.1).to_socket_addrs()
    }
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        if let Ok(addr) = self.parse() {
            return Ok(vec![addr].into_iter());
        }
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (host, port) = self.rsplit_once(':').ok_or_else(|| invalid("invalid socket address"))?;
        resolve(host, port.parse().map_err(|_| invalid("invalid port value"))?)
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = iter::Cloned<slice::Iter<'a, SocketAddr>>;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.iter().cloned())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    type Iter = T::Iter;
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

/// Looks up a host and returns its addresses in the resolver's order.
///
/// `host` is a name or an address, with a port after a colon or without one (the port is 0 then). A task
/// suspends meanwhile and the lookup is a cancellation point; a plain thread blocks.
///
/// A task's look-up runs on a helper thread, up to 512 at a time in the process; what is beyond waits for its turn. A look-up that is
/// given up, by a cancel or a deadline, is dropped if it has not begun. One that has begun cannot be stopped: the task goes on at
/// once, but the thread is busy until the resolver answers (some seconds, as `resolv.conf` says).
///
/// # Errors
/// The resolver's error, if there is no such host; that of a cancel or deadline.
///
/// ```
/// use event_channel::net::lookup_host;
///
/// # fn main() -> std::io::Result<()> {
/// assert!(lookup_host("localhost")?.all(|addr| addr.ip().is_loopback() && addr.port() == 0));
/// assert!(lookup_host("localhost:80")?.all(|addr| addr.port() == 80));
/// # Ok(())
/// # }
/// ```
pub fn lookup_host(host: &str) -> io::Result<impl Iterator<Item = SocketAddr> + use<>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, 0)].into_iter());
    }
    if host.contains(':') { host.to_socket_addrs() } else { resolve(host, 0) }
}

fn resolve(host: &str, port: u16) -> io::Result<vec::IntoIter<SocketAddr>> {
    let host = host.to_owned();
    blocking::run(&LOOKUP, move || std::net::ToSocketAddrs::to_socket_addrs(&(host, port)))?
}

/// All addresses at once: std's functions that try each of them take a slice.
pub(super) fn all(addrs: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    Ok(addrs.to_socket_addrs()?.collect())
}
