//! Binding to an address that a process which is gone has not quite left.
//!
//! On io_uring the kernel keeps the sockets of a process for some milliseconds after its end, if a signal or an abort has
//! ended it with requests in flight (`channel/src/drivers/at_exit.rs` sees to the other ends). Whoever starts the next one
//! gets `EADDRINUSE`. So a bind here looks who has the address. If nobody has it any more the bind tries again.

use super::holders::{self, Socket};
use super::sys;
use crate::time;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// The most that is waited for the kernel, looks included.
const LONGEST: Duration = Duration::from_millis(100);
/// Between two attempts.
const NAP: Duration = Duration::from_millis(1);

/// The sockets that have a port.
type List = fn(u16) -> io::Result<Vec<Socket>>;

/// As [`std::net::TcpListener::bind`].
pub(super) fn listener(addrs: &[SocketAddr]) -> io::Result<TcpListener> {
    first(addrs, holders::listeners, |addr| TcpListener::bind(addr))
}

/// As [`std::net::UdpSocket::bind`].
pub(super) fn datagram(addrs: &[SocketAddr]) -> io::Result<UdpSocket> {
    first(addrs, holders::datagrams, |addr| UdpSocket::bind(addr))
}

fn first<T>(
    addrs: &[SocketAddr],
    list: List,
    bind: impl Fn(&[SocketAddr]) -> io::Result<T>,
) -> io::Result<T> {
    let Some((last, others)) = addrs.split_last() else { return bind(addrs) };
    for addr in others {
        if let Ok(socket) = bind_to(addr, list, &bind) {
            return Ok(socket);
        }
    }
    bind_to(last, list, &bind)
}

fn bind_to<T>(addr: &SocketAddr, list: List, bind: impl Fn(&[SocketAddr]) -> io::Result<T>) -> io::Result<T> {
    let bind = || bind(std::slice::from_ref(addr));
    let mut result = bind();
    let in_use = |result: &io::Result<T>| {
        addr.port() != 0 && result.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    if in_use(&result) {
        let end = Instant::now() + LONGEST;
        let mut left = Vec::new();
        while in_use(&result) && Instant::now() < end {
            match holder(list, addr, &mut left, end) {
                Some(Holder::Left) => time::sleep(NAP),
                // It may have gone since. Else what has the port is no socket of the tables'.
                Some(Holder::Nobody) | None => return bind(),
                Some(Holder::Living) => break,
            }
            result = bind();
        }
    }
    result
}

/// Who has an address.
#[derive(Debug, PartialEq)]
enum Holder {
    /// No socket of this kind.
    Nobody,
    /// Sockets of this user that no process has open, as far as one may see.
    Left,
    /// Somebody, or another user.
    Living,
}

/// `None`: one cannot see it, or not until `end`. Remembers in `left` which sockets nobody has open: nobody can open them again.
fn holder(list: List, addr: &SocketAddr, left: &mut Vec<String>, end: Instant) -> Option<Holder> {
    let in_the_way = |socket: &Socket| socket.is_in_the_way_of(addr);
    let sockets: Vec<_> = list(addr.port()).ok()?.into_iter().filter(in_the_way).collect();
    if sockets.is_empty() {
        return Some(Holder::Nobody);
    }
    if sockets.iter().any(|socket| socket.user != sys::user()) {
        return Some(Holder::Living);
    }
    let sockets: Vec<_> = sockets.iter().map(|socket| format!("socket:[{}]", socket.inode)).collect();
    if sockets.iter().all(|socket| left.contains(socket)) {
        return Some(Holder::Left);
    }
    // Most often it is this process itself.
    if has_open(Path::new("/proc/self"), &sockets, end)? {
        return Some(Holder::Living);
    }
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let is_process = process.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
        if is_process && has_open(&process.path(), &sockets, end)? {
            return Some(Holder::Living);
        }
    }
    *left = sockets;
    Some(Holder::Left)
}

/// Does the process have one of the sockets open? Not if one may not see that. `None`: there was no time to see.
fn has_open(process: &Path, sockets: &[String], end: Instant) -> Option<bool> {
    let Ok(files) = std::fs::read_dir(process.join("fd")) else { return Some(false) };
    for (count, file) in files.flatten().enumerate() {
        if count % 64 == 0 && Instant::now() >= end {
            return None;
        }
        let it = std::fs::read_link(file.path());
        if it.is_ok_and(|it| sockets.iter().any(|socket| it.as_os_str() == socket.as_str())) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixDatagram;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// The socket's descriptor lies in the queue of the second, until that is read or closed.
    fn sent_away(socket: &TcpListener) -> (UnixDatagram, UnixDatagram) {
        let (near, far) = UnixDatagram::pair().unwrap();
        let mut part = libc::iovec { iov_base: b"x".as_ptr().cast_mut().cast(), iov_len: 1 };
        let mut control = [0u64; 8];
        // SAFETY: a message header may be all zero; there is room for one descriptor behind one control header.
        let sent = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(4) as _;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as _;
            libc::CMSG_DATA(header).cast::<i32>().write_unaligned(socket.as_raw_fd());
            libc::sendmsg(near.as_raw_fd(), &message, 0)
        };
        assert_eq!(sent, 1, "{}", io::Error::last_os_error());
        (near, far)
    }

    #[test]
    fn who_listens_is_a_living_holder_and_nobody_is_when_it_has_gone() {
        for at in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(socket) = TcpListener::bind(at) else { continue };
            let at = socket.local_addr().unwrap();
            assert_eq!(
                holder(holders::listeners, &at, &mut Vec::new(), soon()),
                Some(Holder::Living),
                "{at}"
            );
            drop(socket);
            assert_eq!(
                holder(holders::listeners, &at, &mut Vec::new(), soon()),
                Some(Holder::Nobody),
                "{at}"
            );
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(
            holder(holders::datagrams, &socket.local_addr().unwrap(), &mut Vec::new(), soon()),
            Some(Holder::Living)
        );
    }

    /// A socket that is on its way through another one is in no process's table, as one that a ring has.
    #[test]
    fn who_has_no_descriptor_anywhere_has_left() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        let (_kept, _far) = sent_away(&socket);
        drop(socket);
        assert_eq!(holder(holders::listeners, &at, &mut Vec::new(), soon()), Some(Holder::Left));
        // It does not leave within the time.
        assert_eq!(listener(&[at]).unwrap_err().kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn there_is_a_look_only_while_there_is_time() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(
            holder(holders::listeners, &socket.local_addr().unwrap(), &mut Vec::new(), Instant::now()),
            None
        );
    }
}
