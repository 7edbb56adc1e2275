//! Opening connections and making sure that what is at the other end echoes.

use crate::MESSAGE;
use common::na;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// No more than these wait to be accepted, however long the server's queue is.
const AT_A_TIME: usize = 128;

/// A message unlike those of its neighbours.
pub fn pattern(seed: usize, size: usize) -> Vec<u8> {
    (0..size).map(|i| (seed * 131 + i * 7) as u8).collect()
}

fn open(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn some(port: u16, from: usize, n: usize) -> io::Result<Vec<TcpStream>> {
    let mut streams = (0..n).map(|_| open(port)).collect::<io::Result<Vec<_>>>()?;
    for (i, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&pattern(from + i, MESSAGE))?;
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        let mut reply = [0; MESSAGE];
        stream.read_exact(&mut reply)?;
        assert_eq!(reply[..], pattern(from + i, MESSAGE), "connection {} does not echo", from + i);
        stream.set_nonblocking(true)?;
    }
    Ok(streams)
}

/// `n` connections that do not block, each with one echo behind it.
pub fn connect(port: u16, n: usize) -> Vec<TcpStream> {
    let mut all = Vec::with_capacity(n);
    while all.len() < n {
        match some(port, all.len(), AT_A_TIME.min(n - all.len())) {
            Ok(streams) => all.extend(streams),
            Err(error) => na(&format!("after {} connections: {error}", all.len())),
        }
    }
    all
}

/// What a call that does not block has come to: bytes, or nothing for now.
pub fn now(result: io::Result<usize>, what: &str) -> Option<usize> {
    match result {
        Ok(0) => na("a connection was closed by the server"),
        Ok(n) => Some(n),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
        Err(error) => na(&format!("{what}: {error}")),
    }
}
