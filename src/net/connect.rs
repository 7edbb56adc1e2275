//! Opening a TCP connection: by the channel's operation in a task, by std on a plain thread.

use super::sys;
use crate::twins::after;
use ec_pool::wait::{self, Limit, Stop};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Connects to the first of `addrs` that answers.
pub(super) fn any(addrs: &[SocketAddr]) -> io::Result<TcpStream> {
    wait::checkpoint()?;
    let mut last = None;
    for addr in addrs {
        match one(addr, None) {
            Err(stop @ Stop::Os(_)) => last = Some(stop),
            // A cancel or a deadline is not this address's fault: the others would fare no better.
            result => return result.map_err(Stop::deliver),
        }
    }
    Err(last.map_or_else(|| invalid("could not resolve to any addresses"), Stop::deliver))
}

/// Connects to `addr` within `timeout`.
pub(super) fn within(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    if timeout.is_zero() {
        return Err(invalid("cannot set a 0 duration timeout"));
    }
    wait::checkpoint()?;
    let limit = after(timeout).map(|at| Limit { at, errno: libc::ETIMEDOUT });
    one(addr, limit).map_err(Stop::deliver)
}

fn one(addr: &SocketAddr, limit: Option<Limit>) -> Result<TcpStream, Stop> {
    if !wait::in_task() {
        return one_plain(addr, limit);
    }
    // It does not block from the beginning, until it is connected. So no driver has to change its mode for a connect, when
    // others (a forked child) may have it, too.
    let kind = Type::from(libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    let socket = Socket::new(Domain::for_address(*addr), kind, None).map_err(stop)?;
    sys::connect(socket.as_fd(), &SockAddr::from(*addr), limit)?;
    socket.set_nonblocking(false).map_err(stop)?;
    Ok(socket.into())
}

fn one_plain(addr: &SocketAddr, limit: Option<Limit>) -> Result<TcpStream, Stop> {
    let scope = wait::scope_deadline();
    let Some(at) = wait::earliest(limit.map(|limit| limit.at), scope) else {
        return TcpStream::connect(addr).map_err(stop);
    };
    let left = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
    TcpStream::connect_timeout(addr, left).map_err(|error| {
        // std's own time-out comes without an errno.
        if error.raw_os_error().is_none() && scope == Some(at) { Stop::Scope(at) } else { stop(error) }
    })
}

fn stop(error: io::Error) -> Stop {
    Stop::Os(error.raw_os_error().unwrap_or(libc::ETIMEDOUT))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
