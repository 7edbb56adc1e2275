//! The demo: clients on the same machine, as tasks of the same program, over real sockets.
//!
//! Three sorts: small messages on TCP, each waited for before the next is sent; a stream of large
//! messages on TCP, sent and received at the same time; datagrams. All compare what comes back
//! byte for byte. How many there are depends on how many descriptors the system grants.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use event_channel::net::{TcpStream, UdpSocket};
use event_channel::task::{self, JoinHandle};

use crate::report::Counter;

const SMALL: RangeInclusive<usize> = 64..=4 * 1024;
const LARGE: RangeInclusive<usize> = 64 * 1024..=1024 * 1024;
const DATAGRAM: RangeInclusive<usize> = 64..=1400;

/// After so many small messages a client connects anew.
const MESSAGES_PER_CONNECTION: u32 = 500;

/// What has not come back after this time is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the clients have sent, got back and missed.
#[derive(Default)]
pub struct Tally {
    stop: AtomicBool,
    /// Messages that came back on TCP, small and large.
    pub tcp: Counter,
    /// Datagrams that came back.
    pub udp: Counter,
    /// Bytes that came back.
    pub bytes: Counter,
    /// Connections made.
    pub connections: Counter,
    /// Messages and datagrams that did not come back, or not as they were sent.
    pub lost: Counter,
}

impl Tally {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// The demo's status line.
    pub fn status(self: Arc<Self>) -> impl FnMut(Duration) -> String + Send + 'static {
        let (mut messages, mut bytes) = (0, 0);
        move |running| {
            let messages_before = std::mem::replace(&mut messages, self.tcp.get() + self.udp.get());
            let bytes_before = std::mem::replace(&mut bytes, self.bytes.get());
            format!(
                "{:>3} s  {:>8} messages/s  {:>7.1} MB/s  {} connections so far  {} lost",
                running.as_secs(),
                messages - messages_before,
                (bytes - bytes_before) as f64 / 1e6,
                self.connections.get(),
                self.lost.get(),
            )
        }
    }
}

/// The clients while they run.
pub struct Clients {
    tally: Arc<Tally>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts as many clients of `server` as `descriptors` allow.
    pub fn start(server: SocketAddr, descriptors: u64) -> Self {
        let server = reachable(server);
        LazyLock::force(&BYTES);
        // Some are for the runtime itself. Each connection takes two: both its ends are ours.
        let spare = usize::try_from(descriptors.saturating_sub(64)).unwrap_or(usize::MAX);
        let udp = (spare / 16).clamp(1, 16);
        let large = (spare / 64).clamp(1, 4);
        let small = (spare / 3).clamp(1, 200);

        let mut clients = Self { tally: Arc::default(), tasks: Vec::new() };
        for number in 0..small {
            clients.add(number, move |noise, tally| small_messages(server, noise, tally));
        }
        for number in 0..large {
            clients.add(1_000 + number, move |noise, tally| large_messages(server, noise, tally));
        }
        for number in 0..udp {
            clients.add(2_000 + number, move |noise, tally| datagrams(server, noise, tally));
        }
        clients
    }

    fn add(
        &mut self,
        number: usize,
        client: impl FnOnce(Noise, &Arc<Tally>) -> io::Result<()> + Send + 'static,
    ) {
        let tally = Arc::clone(&self.tally);
        self.tasks.push(task::spawn(move || {
            if let Err(error) = client(Noise::new(number), &tally) {
                eprintln!("port7: client {number}: {error}");
                tally.lost.add(1);
            }
        }));
    }

    /// What they count.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Tells the clients to finish what they have begun, and waits for it.
    pub fn finish(self) -> Arc<Tally> {
        self.tally.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            if task.join().is_err() {
                self.tally.lost.add(1);
            }
        }
        self.tally
    }
}

/// A server that listens on all addresses is reached on the loopback one.
fn reachable(mut server: SocketAddr) -> SocketAddr {
    match server {
        SocketAddr::V4(address) if address.ip().is_unspecified() => server.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(address) if address.ip().is_unspecified() => server.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    server
}

fn connect(server: SocketAddr, tally: &Tally) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    tally.connections.add(1);
    Ok(stream)
}

fn small_messages(server: SocketAddr, mut noise: Noise, tally: &Arc<Tally>) -> io::Result<()> {
    let mut echo = vec![0; *SMALL.end()];
    while tally.goes_on() {
        let mut stream = connect(server, tally)?;
        for _ in 0..MESSAGES_PER_CONNECTION {
            let message = noise.message(SMALL);
            let echo = &mut echo[..message.len()];
            stream.write_all(message)?;
            stream.read_exact(echo)?;
            let counter = if echo == message { &tally.tcp } else { &tally.lost };
            counter.add(1);
            tally.bytes.add(message.len() as u64);
            if !tally.goes_on() {
                break;
            }
        }
    }
    Ok(())
}

/// These messages are larger than what the kernel holds for a connection: whoever sends one before
/// receiving it waits for ever. So there are two tasks, as there would be two threads.
fn large_messages(server: SocketAddr, noise: Noise, tally: &Arc<Tally>) -> io::Result<()> {
    let stream = Arc::new(connect(server, tally)?);
    let sender = task::spawn({
        let (stream, tally, mut noise) = (Arc::clone(&stream), Arc::clone(tally), noise.clone());
        move || -> io::Result<u64> {
            let mut sent = 0;
            while tally.goes_on() {
                (&*stream).write_all(noise.message(LARGE))?;
                sent += 1;
            }
            // The server sees the end, sends what it still has and closes.
            stream.shutdown(Shutdown::Write)?;
            Ok(sent)
        }
    });

    let (mut noise, mut echo, mut received) = (noise, vec![0; *LARGE.end()], 0);
    loop {
        // The same noise again: what must come back.
        let message = noise.message(LARGE);
        let echo = &mut echo[..message.len()];
        match (&*stream).read_exact(echo) {
            Ok(()) if echo == message => {
                received += 1;
                tally.tcp.add(1);
                tally.bytes.add(message.len() as u64);
            }
            Ok(()) => break,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    // If the echo went wrong, the sender must not wait for somebody to read it.
    let _ = stream.shutdown(Shutdown::Both);
    match sender.join() {
        Ok(sent) => tally.lost.add(sent?.saturating_sub(received)),
        Err(_) => tally.lost.add(1),
    }
    Ok(())
}

fn datagrams(server: SocketAddr, mut noise: Noise, tally: &Arc<Tally>) -> io::Result<()> {
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut echo = vec![0; *DATAGRAM.end() + 1];
    while tally.goes_on() {
        let message = noise.message(DATAGRAM);
        socket.send(message)?;
        let length = socket.recv(&mut echo)?;
        let counter = if &echo[..length] == message { &tally.udp } else { &tally.lost };
        counter.add(1);
        tally.bytes.add(length as u64);
    }
    Ok(())
}

/// Messages of changing size and content; the same number gives the same ones again.
#[derive(Clone)]
struct Noise(u64);

/// What messages are cut from: making each anew would keep the clients busier than the echo.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut noise = Noise::new(0);
    std::iter::repeat_with(|| noise.next().to_le_bytes()).take(LARGE.end() / 4).flatten().collect()
});

impl Noise {
    fn new(number: usize) -> Self {
        Self((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn message(&mut self, sizes: RangeInclusive<usize>) -> &'static [u8] {
        let length = sizes.start() + self.below(sizes.end() - sizes.start() + 1);
        let start = self.below(BYTES.len() - length);
        &BYTES[start..start + length]
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Marsaglia's xorshift.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
