//! `load chat`: talkers in rooms. A line that one says comes to all in its room, to itself too; a latency is counted for each
//! that it comes to. In a closed loop each says its next line when its last one has come back to it; with `rate` lines are said on
//! schedule by talkers drawn by lot, and a latency is counted from the time at which the line was to be said.
//!
//! The server's threads are counted at the end, if `pid` names it.

use crate::connections::now;
use crate::poll::Poll;
use crate::served::Served;
use crate::{MESSAGE, nanos};
use common::{Args, Rng, na, out, pct};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const WARM_UP: Duration = Duration::from_millis(300);
/// For the rooms to fill.
const PATIENCE: Duration = Duration::from_secs(10);
/// For what is still under way at the end.
const AFTER: Duration = Duration::from_secs(2);
/// The parts of a line: who says it, a space, and when it was to be said, in nanoseconds.
const WHO: usize = 6;
const WHEN: usize = 20;

struct Talker {
    stream: TcpStream,
    /// Bytes that found no room.
    unsent: Vec<u8>,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
}

/// The talk, and what is counted of it after the warm-up.
struct Talk {
    began: Instant,
    warm: Instant,
    closed: bool,
    /// To how many a line comes.
    room: usize,
    times: Vec<u32>,
    /// Lines said, to each who hears them, that have not come.
    under_way: usize,
}

impl Talk {
    fn say(&mut self, who: usize, at: Instant, talker: &mut Talker, poll: &Poll) {
        let mut line = format!("{who:0WHO$} {:0WHEN$} ", (at - self.began).as_nanos()).into_bytes();
        line.resize(MESSAGE - 1, b'.');
        line.push(b'\n');
        self.under_way += self.room;
        talker.send(who, &line, poll);
    }

    /// A line has come to `to`; is it to say its next one?
    fn came(&mut self, to: usize, line: &[u8], time: Instant) -> bool {
        let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
        let (who, when) = (number(&line[..WHO]), number(&line[WHO + 1..WHO + 1 + WHEN]));
        let (Some(who), Some(when)) = (who, when) else { na("a line is not as it was said") };
        self.under_way -= 1;
        let said = self.began + Duration::from_nanos(when);
        if said >= self.warm {
            self.times.push(nanos(time.saturating_duration_since(said)));
        }
        who as usize == to
    }
}

impl Talker {
    fn send(&mut self, key: usize, line: &[u8], poll: &Poll) {
        let waited = !self.unsent.is_empty();
        self.unsent.extend_from_slice(line);
        while !self.unsent.is_empty() {
            let Some(n) = now(self.stream.write(&self.unsent), "write") else { break };
            self.unsent.drain(..n);
        }
        if waited == self.unsent.is_empty() {
            poll.set(&self.stream, key, !waited);
        }
    }

    /// Calls `came` with each line that is whole.
    fn receive(&mut self, buf: &mut [u8], mut came: impl FnMut(&[u8])) {
        let Some(n) = now(self.stream.read(buf), "read") else { return };
        self.partial.extend_from_slice(&buf[..n]);
        let whole = self.partial.len() / MESSAGE * MESSAGE;
        self.partial[..whole].chunks_exact(MESSAGE).for_each(&mut came);
        self.partial.drain(..whole);
    }
}

pub fn run(a: &Args) {
    let (port, n, room) = (a.num("port", 0) as u16, a.num("conns", 500), a.num("room", 10));
    let (rate, secs) = (a.real("rate", 0.0), a.real("secs", 2.0));
    let n = n / room * room;
    let (mut poll, mut rng, mut buf) = (Poll::new(), Rng::new(1), vec![0; 16_384]);
    let mut all = rooms(port, n, room);
    all.iter().enumerate().for_each(|(key, c)| poll.add(&c.stream, key, false));
    let began = Instant::now();
    let warm = began + WARM_UP;
    let end = warm + Duration::from_secs_f64(secs);
    let mut talk = Talk { began, warm, closed: rate == 0.0, room, times: Vec::new(), under_way: 0 };
    let mut next = if talk.closed { end } else { began };
    if talk.closed {
        all.iter_mut().enumerate().for_each(|(key, c)| talk.say(key, began, c, &poll));
    }
    let (mut time, mut served, mut in_time) = (began, Served::new(a), 0);
    while time < end + AFTER && (time < end || talk.under_way > 0) {
        while next <= time && next < end {
            let who = rng.below(n as u64) as usize;
            talk.say(who, next, &mut all[who], &poll);
            next += Duration::from_secs_f64(rng.exponential() / rate);
        }
        let pause = if time < end { next.min(end).saturating_duration_since(time) } else { AFTER };
        for i in 0..poll.wait(Some(pause)) {
            let ready = poll.ready(i);
            let talker = &mut all[ready.key];
            if ready.writable {
                talker.send(ready.key, &[], &poll);
            }
            if ready.readable {
                time = Instant::now();
                let mut its_own = 0;
                talker.receive(&mut buf, |line| its_own += usize::from(talk.came(ready.key, line, time)));
                let goes_on = talk.closed && time < end;
                (0..if goes_on { its_own } else { 0 }).for_each(|_| talk.say(ready.key, time, talker, &poll));
            }
        }
        time = Instant::now();
        if time >= warm {
            served.warm();
        }
        if time < end {
            in_time = talk.times.len();
        }
    }
    if talk.under_way > 0 {
        na(&format!("{} lines have not come", talk.under_way));
    }
    let cpu = served.micros_each(talk.times.len());
    let threads = std::fs::read_dir(format!("/proc/{}/task", a.num("pid", 0)))
        .map_or(f64::NAN, |all| all.count() as f64);
    let times = &mut talk.times;
    out(&[
        ("msgs_s", in_time as f64 / secs),
        ("p50_us", pct(times, 0.5) / 1e3),
        ("p99_us", pct(times, 0.99) / 1e3),
        ("max_us", pct(times, 1.0) / 1e3),
        ("threads", threads),
        ("cpu_us", cpu),
    ]);
}

/// All connected, each in its room: they have heard each other there.
fn rooms(port: u16, n: usize, room: usize) -> Vec<Talker> {
    let open = |key: usize| {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut both = format!("room {}\n", key / room).into_bytes();
        both.resize(both.len() + MESSAGE - 1, b'-');
        both.push(b'\n');
        (&stream).write_all(&both)?;
        // Its own: it is there.
        let mut line = [0; MESSAGE];
        (&stream).read_exact(&mut line)?;
        Ok::<TcpStream, std::io::Error>(stream)
    };
    let opened: std::io::Result<Vec<_>> = (0..n).map(open).collect();
    let all = opened.unwrap_or_else(|error| na(&format!("nobody comes into a room: {error}")));
    let settled = |(key, stream): (usize, TcpStream)| {
        // What those have said who came after it.
        let mut rest = vec![0; MESSAGE * (room - 1 - key % room)];
        (&stream).read_exact(&mut rest).unwrap_or_else(|error| na(&format!("a line does not come: {error}")));
        stream.set_nonblocking(true).expect("not blocking");
        Talker { stream, unsent: Vec::new(), partial: Vec::new() }
    };
    all.into_iter().enumerate().map(settled).collect()
}
