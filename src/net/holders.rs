//! The sockets that have a port, as the kernel lists them.
//!
//! Listeners: by `sock_diag(7)`, for a reader of `/proc/net/tcp` has the kernel go through all connections of the machine.
//! Sockets for datagrams: from `/proc/net/udp`, which is short, since many kernels do not list these by `sock_diag`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Somebody's socket.
#[derive(Debug, PartialEq)]
pub(super) struct Socket {
    pub(super) local: SocketAddr,
    pub(super) user: u32,
    pub(super) inode: u64,
}

impl Socket {
    /// May it be what keeps others from binding to `addr`?
    pub(super) fn is_in_the_way_of(&self, addr: &SocketAddr) -> bool {
        let (mine, other) = (self.local.ip().to_canonical(), addr.ip().to_canonical());
        self.local.port() == addr.port() && (mine == other || mine.is_unspecified() || other.is_unspecified())
    }

    /// A line of a table: `sl: local remote state queues timer retransmissions user timeout inode ..`
    fn parse(line: &str) -> Option<Socket> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (address, port) = words.next()?.split_once(':')?;
        let user = words.nth(5)?.parse().ok()?;
        let inode = words.nth(1)?.parse().ok()?;
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(Socket { local: SocketAddr::new(parse_ip(address)?, port), user, inode })
    }

    /// An `inet_diag_msg`: family (a byte, of four), local port, remote port, local address (16 bytes), .., user at 64, inode.
    fn of_answer(answer: &[u8]) -> Option<Socket> {
        let bytes = |at: usize| answer.get(at..at + 4)?.try_into().ok();
        let port = u16::from_be_bytes(answer.get(4..6)?.try_into().ok()?);
        let address: [u8; 16] = answer.get(8..24)?.try_into().ok()?;
        let ip = match i32::from(answer[0]) {
            libc::AF_INET => IpAddr::from([address[0], address[1], address[2], address[3]]),
            _ => IpAddr::from(address),
        };
        let (user, inode) = (u32::from_ne_bytes(bytes(64)?), u32::from_ne_bytes(bytes(68)?));
        Some(Socket { local: SocketAddr::new(ip, port), user, inode: inode.into() })
    }
}

/// TCP sockets that listen on `port`.
pub(super) fn listeners(port: u16) -> io::Result<Vec<Socket>> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const LISTEN: u32 = 1 << 10;
    const HEADER: usize = 16;
    let protocol = socket2::Protocol::from(libc::NETLINK_SOCK_DIAG);
    let domain = socket2::Domain::from(libc::AF_NETLINK);
    let mut kernel = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(protocol))?;
    // It answers at once.
    kernel.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        // An `nlmsghdr` and an `inet_diag_req_v2`, of which only the local port is not zero.
        let mut ask = [0; HEADER + 56];
        ask[..4].copy_from_slice(&(HEADER as u32 + 56).to_ne_bytes());
        ask[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        ask[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
        ask[HEADER..HEADER + 2].copy_from_slice(&[family as u8, libc::IPPROTO_TCP as u8]);
        ask[HEADER + 4..HEADER + 8].copy_from_slice(&LISTEN.to_ne_bytes());
        ask[HEADER + 8..HEADER + 10].copy_from_slice(&port.to_be_bytes());
        kernel.send(&ask)?;
        let mut room = [0; 8192];
        'answers: loop {
            let mut rest = kernel.read(&mut room).map(|len| &room[..len])?;
            while rest.len() >= HEADER {
                let len = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
                let (kind, whole) = (u16::from_ne_bytes([rest[4], rest[5]]), len.next_multiple_of(4));
                match rest.get(HEADER..len) {
                    Some(answer) if kind == SOCK_DIAG_BY_FAMILY => found.extend(Socket::of_answer(answer)),
                    // The end, or a kernel that does not list these.
                    _ => break 'answers,
                }
                rest = rest.get(whole..).unwrap_or_default();
            }
        }
    }
    Ok(found)
}

/// UDP sockets bound to `port`.
pub(super) fn datagrams(port: u16) -> io::Result<Vec<Socket>> {
    let mut found = Vec::new();
    for name in ["udp", "udp6"] {
        // Of the thread: it may be in a network of its own. (Without IPv6 there is no second table.)
        let table = match File::open(format!("/proc/thread-self/net/{name}")) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            table => table?,
        };
        for line in BufReader::new(table).lines().skip(1) {
            found.extend(Socket::parse(&line?).filter(|socket| socket.local.port() == port));
        }
    }
    Ok(found)
}

/// Words of 32 bits in the byte order of the machine, each as a hexadecimal number.
fn parse_ip(hex: &str) -> Option<IpAddr> {
    let mut bytes = [0; 16];
    let words = hex.len() / 8;
    for (at, place) in bytes.chunks_exact_mut(4).take(words).enumerate() {
        let word = u32::from_str_radix(hex.get(8 * at..8 * at + 8)?, 16).ok()?;
        place.copy_from_slice(&word.to_ne_bytes());
    }
    match words {
        1 => Some(IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])),
        4 => Some(IpAddr::from(bytes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_way_of_itself_and_of_all() {
        let line = "   0: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0";
        let socket = Socket::parse(line).unwrap();
        let here = if cfg!(target_endian = "little") { "127.0.0.1:8080" } else { "1.0.0.127:8080" };
        assert_eq!(socket, Socket { local: here.parse().unwrap(), user: 1000, inode: 4711 });
        let in_the_way = |of: &str| socket.is_in_the_way_of(&of.parse().unwrap());
        assert!(in_the_way(here) && in_the_way("0.0.0.0:8080") && in_the_way("[::]:8080"));
        assert!(!in_the_way("127.0.0.2:8080") && !in_the_way(&here.replace("8080", "8081")));
    }

    #[test]
    fn a_socket_is_listed_with_its_address_and_its_user() {
        for at in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(socket) = std::net::TcpListener::bind(at) else { continue };
            let at = socket.local_addr().unwrap();
            let found = listeners(at.port()).unwrap();
            let mine = found.iter().find(|socket| socket.local == at).expect("it is listed");
            assert_eq!(mine.user, super::super::sys::user());
        }
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        assert!(datagrams(at.port()).unwrap().iter().any(|socket| socket.local == at));
    }
}
