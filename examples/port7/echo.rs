//! The server: whatever comes in on the port goes back to where it came from.
//!
//! One task accepts and starts a task per connection; one more answers datagrams. None of it
//! mentions the event channel: `accept`, `read`, `write_all` look and behave as std's do, and
//! suspend the task where std's would block the thread.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::{task, time};

use crate::report::Totals;

/// How often another port is tried when the one the system chose for TCP is taken for UDP.
const ATTEMPTS: u32 = 32;

/// How long the server waits before it accepts again after the system had no room for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// What a connection holds at most, whatever its client does.
const BUFFER: usize = 16 * 1024;

/// Opens TCP and UDP on one port. Where the port is the system's choice, it chooses it for TCP.
pub fn bind(listen: &str) -> io::Result<(TcpListener, UdpSocket)> {
    let mut attempt = 1;
    loop {
        let tcp = TcpListener::bind(listen).map_err(|error| explain("TCP", &listen, &error))?;
        let address: SocketAddr = tcp.local_addr()?;
        match UdpSocket::bind(address) {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if error.kind() == ErrorKind::AddrInUse && attempt < ATTEMPTS && any_port(listen) => {
                attempt += 1;
            }
            Err(error) => return Err(explain("UDP", &address, &error)),
        }
    }
}

fn any_port(listen: &str) -> bool {
    listen.ends_with(":0")
}

fn explain(what: &str, address: &dyn std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot open {what} on {address}: {error}"))
}

/// Accepts connections until the task is cancelled, which ends `incoming()`.
pub fn accept(listener: &TcpListener, totals: &Arc<Totals>) {
    let mut complained = false;
    for stream in listener.incoming() {
        match stream.and_then(|stream| start(stream, totals)) {
            Ok(()) => complained = false,
            // The client has gone before we looked: nothing is wrong here.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => totals.failed.add(1),
            // No descriptors or no memory left: those who are connected go on, the next ones wait.
            Err(error) => {
                totals.refused.add(1);
                if !std::mem::replace(&mut complained, true) {
                    eprintln!("port7: cannot take a connection: {error}; trying again");
                }
                time::sleep(PAUSE);
            }
        }
    }
}

/// Gives a connection its task.
fn start(stream: TcpStream, totals: &Arc<Totals>) -> io::Result<()> {
    let totals = Arc::clone(totals);
    let open = totals.open_connection();
    task::Builder::new().name("connection".to_owned()).spawn(move || {
        // A connection that breaks is its client's business; the server only counts it.
        if connection(stream, &totals).is_err() && !task::is_cancelled() {
            totals.failed.add(1);
        }
        drop(open);
    })?;
    Ok(())
}

/// Echoes one connection until its client has finished sending.
fn connection(mut stream: TcpStream, totals: &Totals) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; BUFFER];
    loop {
        let length = match stream.read(&mut buffer) {
            // All that was sent has been written back: closing now loses nothing.
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // A client that does not read suspends this task here, and no memory grows meanwhile.
        stream.write_all(&buffer[..length])?;
        totals.bytes.add(length as u64);
    }
}

/// Sends every datagram back, until the task is cancelled.
pub fn datagrams(socket: &UdpSocket, totals: &Totals) {
    let mut buffer = vec![0; 64 * 1024];
    while !task::is_cancelled() {
        let echoed =
            socket.recv_from(&mut buffer).and_then(|(length, from)| socket.send_to(&buffer[..length], from));
        match echoed {
            Ok(length) => {
                totals.datagrams.add(1);
                totals.bytes.add(length as u64);
            }
            Err(_) if task::is_cancelled() => return,
            Err(error) => {
                totals.failed.add(1);
                if error.kind() == ErrorKind::OutOfMemory {
                    time::sleep(PAUSE);
                }
            }
        }
    }
}
