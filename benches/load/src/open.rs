//! `load open`: an open loop. Messages go out on a schedule, with exponential gaps and on connections drawn by lot,
//! whatever comes back; a latency is counted from the time at which the message was to go out. So a server that stands
//! still for a while pays for all that would have been asked of it meanwhile.

use crate::connections::{connect, now};
use crate::poll::Poll;
use crate::served::Served;
use crate::{MESSAGE, nanos};
use common::{Args, Rng, out, pct};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const WARM_UP: Duration = Duration::from_millis(300);
/// For what is still under way at the end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Replies are looked for after so many sends, however late the load is.
const IN_A_ROW: usize = 64;

struct Connection {
    stream: TcpStream,
    /// When the messages that have not come back were to go out.
    asked: VecDeque<Instant>,
    /// Bytes that found no room.
    unsent: usize,
    /// Bytes of the next reply.
    got: usize,
}

/// What is counted, of the messages after the warm-up.
struct Counts {
    warm: Instant,
    sent: usize,
    times: Vec<u32>,
    late: Vec<u32>,
}

impl Connection {
    fn ask(&mut self, at: Instant, counts: &mut Counts) {
        self.asked.push_back(at);
        self.unsent += MESSAGE;
        if at >= counts.warm {
            counts.sent += 1;
            counts.late.push(nanos(at.elapsed()));
        }
    }

    fn send(&mut self, poll: &Poll, key: usize, waited: bool) {
        while self.unsent > 0 {
            let bytes = [7; 4096];
            let chunk = &bytes[..self.unsent.min(bytes.len())];
            let Some(n) = now(self.stream.write(chunk), "write") else { break };
            self.unsent -= n;
        }
        if waited != (self.unsent > 0) {
            poll.set(&self.stream, key, self.unsent > 0);
        }
    }

    /// Takes what has come; how many messages.
    fn receive(&mut self, buf: &mut [u8], counts: &mut Counts) -> usize {
        let Some(n) = now(self.stream.read(buf), "read") else { return 0 };
        let (time, whole) = (Instant::now(), (self.got + n) / MESSAGE);
        self.got = (self.got + n) % MESSAGE;
        for at in self.asked.drain(..whole) {
            if at >= counts.warm {
                counts.times.push(nanos(time - at));
            }
        }
        whole
    }
}

pub fn run(a: &Args) {
    let (port, n, rate) = (a.num("port", 0) as u16, a.num("conns", 1), a.real("rate", 1000.0));
    let secs = a.real("secs", 2.0);
    exact_timers();
    let (mut poll, mut rng, mut buf) = (Poll::new(), Rng::new(1), vec![0; 16_384]);
    let fresh = |stream| Connection { stream, asked: VecDeque::new(), unsent: 0, got: 0 };
    let mut all: Vec<Connection> = connect(port, n).into_iter().map(fresh).collect();
    all.iter().enumerate().for_each(|(key, c)| poll.add(&c.stream, key, false));
    let mut next = Instant::now();
    let warm = next + WARM_UP;
    let end = warm + Duration::from_secs_f64(secs);
    let mut counts = Counts { warm, sent: 0, times: Vec::new(), late: Vec::new() };
    let (mut under_way, mut served) = (0, Served::new(a));
    loop {
        let mut time = Instant::now();
        if time >= warm {
            served.warm();
        }
        for _ in 0..IN_A_ROW {
            if next > time || next >= end {
                break;
            }
            let key = rng.below(n as u64) as usize;
            let waited = all[key].unsent > 0;
            all[key].ask(next, &mut counts);
            all[key].send(&poll, key, waited);
            under_way += 1;
            next += Duration::from_secs_f64(rng.exponential() / rate);
            time = Instant::now();
        }
        if next >= end && (under_way == 0 || time > end + PATIENCE) {
            break;
        }
        let pause = if next < end { next.saturating_duration_since(time) } else { PATIENCE };
        for i in 0..poll.wait(Some(pause)) {
            let ready = poll.ready(i);
            let c = &mut all[ready.key];
            if ready.writable {
                c.send(&poll, ready.key, c.unsent > 0);
            }
            if ready.readable {
                under_way -= c.receive(&mut buf, &mut counts);
            }
        }
    }
    report(&mut counts, &all, &served);
}

/// What has not come back is as late as it is by now.
fn report(counts: &mut Counts, all: &[Connection], served: &Served) {
    let got = counts.times.len();
    let cpu = served.micros_each(got);
    let missing = all.iter().flat_map(|c| &c.asked).filter(|at| **at >= counts.warm);
    counts.times.extend(missing.map(|at| nanos(at.elapsed())));
    let times = &mut counts.times;
    out(&[
        ("sent", counts.sent as f64),
        ("got", got as f64),
        ("p50_us", pct(times, 0.5) / 1e3),
        ("p99_us", pct(times, 0.99) / 1e3),
        ("p999_us", pct(times, 0.999) / 1e3),
        ("max_us", pct(times, 1.0) / 1e3),
        ("late_us", pct(&mut counts.late, 0.99) / 1e3),
        ("cpu_us", cpu),
    ]);
}

/// The kernel may end a sleep 50 us late by default.
fn exact_timers() {
    // SAFETY: no memory is involved.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}
