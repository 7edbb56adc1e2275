//! `load udp`: a closed loop of datagrams. A reply that is missing for 200 ms counts as lost, and another message is
//! sent.

use crate::connections::pattern;
use crate::poll::Poll;
use crate::served::Served;
use crate::{MESSAGE, nanos};
use common::{Args, na, out, pct};
use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

const WARM_UP: Duration = Duration::from_millis(300);
const LOST: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(50);

struct Client {
    socket: UdpSocket,
    message: Vec<u8>,
    number: u64,
    since: Instant,
}

impl Client {
    fn new(port: u16, key: usize) -> io::Result<Client> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", port))?;
        socket.set_nonblocking(true)?;
        Ok(Client { socket, message: pattern(key, MESSAGE), number: 0, since: Instant::now() })
    }

    /// A message with a number of its own, so that a late reply is not taken for this one's.
    fn send(&mut self, at: Instant) {
        self.number += 1;
        self.message[..8].copy_from_slice(&self.number.to_le_bytes());
        self.since = at;
        match self.socket.send(&self.message) {
            Ok(_) => (),
            // No room: as good as lost.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) => na(&format!("send: {error}")),
        }
    }

    /// Whether the reply has come.
    fn receive(&self) -> bool {
        let mut reply = [0; MESSAGE + 1];
        match self.socket.recv(&mut reply) {
            Ok(n) => reply[..n] == self.message[..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => na(&format!("receive: {error}")),
        }
    }
}

pub fn run(a: &Args) {
    let (port, n, secs) = (a.num("port", 0) as u16, a.num("conns", 1), a.real("secs", 2.0));
    let mut poll = Poll::new();
    let mut all: Vec<Client> = (0..n).map(|key| Client::new(port, key).expect("socket")).collect();
    for (key, client) in all.iter_mut().enumerate() {
        poll.add(&client.socket, key, false);
        client.send(Instant::now());
    }
    let warm = Instant::now() + WARM_UP;
    let end = warm + Duration::from_secs_f64(secs);
    let (mut times, mut lost) = (Vec::with_capacity(1 << 21), 0u32);
    let (mut time, mut served) = (Instant::now(), Served::new(a));
    let mut look = time + LOOK;
    while time < end {
        let found = poll.wait(Some(LOOK));
        for i in 0..found {
            let client = &mut all[poll.ready(i).key];
            if !client.receive() {
                continue;
            }
            time = Instant::now();
            if time >= warm {
                served.warm();
                times.push(nanos(time - client.since));
            }
            client.send(time);
        }
        if found == 0 {
            time = Instant::now();
        }
        if time >= look {
            look = time + LOOK;
            for client in all.iter_mut().filter(|client| time > client.since + LOST) {
                lost += u32::from(time >= warm);
                client.send(time);
            }
        }
    }
    let cpu = served.micros_each(times.len());
    out(&[
        ("msgs_s", times.len() as f64 / secs),
        ("p50_us", pct(&mut times, 0.5) / 1e3),
        ("p99_us", pct(&mut times, 0.99) / 1e3),
        ("lost", f64::from(lost)),
        ("cpu_us", cpu),
    ]);
}
