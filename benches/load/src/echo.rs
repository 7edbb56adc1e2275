//! `load echo`: a closed loop. Each connection sends a message of `size` bytes, waits for all of it to come back and
//! sends the next.

use crate::connections::{connect, now, pattern};
use crate::nanos;
use crate::poll::Poll;
use crate::served::Served;
use common::{Args, out, pct};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const WARM_UP: Duration = Duration::from_millis(300);

struct Connection {
    stream: TcpStream,
    sent: usize,
    got: usize,
    since: Instant,
    /// The first message is compared byte by byte.
    checked: bool,
    /// Watched for room to write.
    waits: bool,
}

impl Connection {
    /// Sends what is left of the message, as far as there is room.
    fn send(&mut self, poll: &Poll, key: usize, message: &[u8]) {
        while self.sent < message.len() {
            let Some(n) = now(self.stream.write(&message[self.sent..]), "write") else { break };
            self.sent += n;
        }
        let waits = self.sent < message.len();
        if waits != self.waits {
            self.waits = waits;
            poll.set(&self.stream, key, waits);
        }
    }

    /// Takes what has come; true if the message is whole.
    fn receive(&mut self, message: &[u8], buf: &mut [u8]) -> bool {
        let room = &mut buf[..message.len() - self.got];
        if let Some(n) = now(self.stream.read(room), "read") {
            assert!(self.checked || buf[..n] == message[self.got..self.got + n], "not what was sent");
            self.got += n;
        }
        self.got == message.len()
    }

    fn begin(&mut self, at: Instant) {
        (self.sent, self.got, self.since) = (0, 0, at);
    }
}

pub fn run(a: &Args) {
    let (port, n, size) = (a.num("port", 0) as u16, a.num("conns", 1), a.num("size", crate::MESSAGE));
    let secs = a.real("secs", 2.0);
    let (message, mut buf, mut poll) = (pattern(1, size), vec![0; size], Poll::new());
    let fresh =
        |stream| Connection { stream, sent: 0, got: 0, since: Instant::now(), checked: false, waits: false };
    let mut all: Vec<Connection> = connect(port, n).into_iter().map(fresh).collect();
    for (key, c) in all.iter_mut().enumerate() {
        poll.add(&c.stream, key, false);
        c.begin(Instant::now());
        c.send(&poll, key, &message);
    }
    let warm = Instant::now() + WARM_UP;
    let end = warm + Duration::from_secs_f64(secs);
    let mut times = Vec::with_capacity(1 << 21);
    let (mut time, mut served) = (Instant::now(), Served::new(a));
    while time < end {
        let found = poll.wait(Some(Duration::from_millis(500)));
        for i in 0..found {
            let ready = poll.ready(i);
            let c = &mut all[ready.key];
            if ready.writable {
                c.send(&poll, ready.key, &message);
            }
            if !ready.readable || !c.receive(&message, &mut buf) {
                continue;
            }
            time = Instant::now();
            if time >= warm {
                served.warm();
                times.push(nanos(time - c.since));
            }
            c.checked = true;
            c.begin(time);
            c.send(&poll, ready.key, &message);
        }
        if found == 0 || size > crate::MESSAGE {
            time = Instant::now();
        }
    }
    let cpu = served.micros_each(times.len());
    out(&[
        ("msgs_s", times.len() as f64 / secs),
        ("p50_us", pct(&mut times, 0.5) / 1e3),
        ("p99_us", pct(&mut times, 0.99) / 1e3),
        ("max_us", pct(&mut times, 1.0) / 1e3),
        ("cpu_us", cpu),
    ]);
}
