//! `load accept`: how fast connections are taken. Each is opened, exchanges one message and is closed; `conns` are on
//! their way at a time. They are reset rather than closed, since ports in TIME_WAIT would soon be all there are.

use crate::connections::{now, pattern};
use crate::poll::Poll;
use crate::served::Served;
use crate::{MESSAGE, nanos};
use common::{Args, na, out, pct};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

const WARM_UP: Duration = Duration::from_millis(300);
/// For those on their way at the end.
const PATIENCE: Duration = Duration::from_secs(1);

struct Visit {
    stream: TcpStream,
    since: Instant,
    connected: bool,
    got: usize,
}

impl Visit {
    fn begin(port: u16) -> io::Result<Visit> {
        let since = Instant::now();
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: the descriptor is new and nobody else's; what is passed lives through the calls.
        let (fd, refused) = unsafe {
            let fd = OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, kind, 0));
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            let size = size_of_val(&at_once) as u32;
            let linger = (&raw const at_once).cast();
            libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, linger, size);
            let mut to: libc::sockaddr_in = std::mem::zeroed();
            to.sin_family = libc::AF_INET as _;
            to.sin_port = port.to_be();
            to.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
            let size = size_of_val(&to) as u32;
            let done = libc::connect(fd.as_raw_fd(), (&raw const to).cast(), size);
            (fd, if done < 0 { io::Error::last_os_error().raw_os_error() } else { None })
        };
        match refused {
            None | Some(libc::EINPROGRESS) => (),
            Some(error) => return Err(io::Error::from_raw_os_error(error)),
        }
        Ok(Visit { stream: TcpStream::from(fd), since, connected: false, got: 0 })
    }

    /// Goes on with it; true when the echo is back.
    fn go_on(&mut self, poll: &Poll, key: usize, message: &[u8]) -> bool {
        if !self.connected {
            if let Ok(Some(error)) | Err(error) = self.stream.take_error() {
                na(&format!("connect: {error}"));
            }
            self.connected = true;
            let sent = now((&self.stream).write(message), "write");
            assert_eq!(sent, Some(message.len()), "a new connection has room");
            poll.set(&self.stream, key, false);
            return false;
        }
        let mut reply = [0; MESSAGE];
        if let Some(n) = now(self.stream.read(&mut reply[..message.len() - self.got]), "read") {
            assert_eq!(reply[..n], message[self.got..self.got + n], "not what was sent");
            self.got += n;
        }
        self.got == message.len()
    }
}

pub fn run(a: &Args) {
    let (port, n, secs) = (a.num("port", 0) as u16, a.num("conns", 8), a.real("secs", 2.0));
    let (message, mut poll) = (pattern(1, MESSAGE), Poll::new());
    let begin = |poll: &Poll, key| {
        let visit = Visit::begin(port).unwrap_or_else(|error| na(&format!("connect: {error}")));
        poll.add(&visit.stream, key, true);
        visit
    };
    let mut all: Vec<Option<Visit>> = (0..n).map(|key| Some(begin(&poll, key))).collect();
    let warm = Instant::now() + WARM_UP;
    let end = warm + Duration::from_secs_f64(secs);
    let (mut times, mut left, mut served) = (Vec::with_capacity(1 << 18), n, Served::new(a));
    while left > 0 && Instant::now() < end + PATIENCE {
        for i in 0..poll.wait(Some(Duration::from_millis(50))) {
            let key = poll.ready(i).key;
            let Some(visit) = &mut all[key] else { continue };
            if !visit.go_on(&poll, key, &message) {
                continue;
            }
            let since = visit.since;
            all[key] = None;
            let time = Instant::now();
            if time >= end {
                left -= 1;
                continue;
            }
            if time >= warm {
                served.warm();
                times.push(nanos(time - since));
            }
            all[key] = Some(begin(&poll, key));
        }
    }
    let cpu = served.micros_each(times.len());
    out(&[
        ("conns_s", times.len() as f64 / secs),
        ("p50_us", pct(&mut times, 0.5) / 1e3),
        ("p99_us", pct(&mut times, 0.99) / 1e3),
        ("cpu_us", cpu),
    ]);
}
