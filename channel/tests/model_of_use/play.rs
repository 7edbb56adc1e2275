//! The model: what is in flight, what may come of it, and whether anything has to come.

use super::common::{fleeting_socket, room};
use super::pair::Pair;
use super::posted::Posted;
use super::steps::{Ask, PAIRS, Step, What};
use ec_channel::{Driver, Event, EventChannel, EventId, EventKind, Interest, Request, Source};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// `Err`: a step came to what it may not come to.
pub type Checked = Result<(), TestCaseError>;

/// Events that may be posted again.
const KEPT: usize = 4;

pub struct Play<'a> {
    channel: &'a EventChannel,
    patience: Duration,
    pairs: Vec<Pair>,
    listener: Arc<TcpListener>,
    to_listener: SocketAddr,
    near: Arc<UdpSocket>,
    far: Arc<UdpSocket>,
    /// What others have connected, to be kept.
    clients: Vec<socket2::Socket>,
    /// Connections that were made for certain, that may have been, and that were accepted.
    connected: usize,
    connects: usize,
    accepted: usize,
    /// Datagrams sent for certain, that may have been, and that were received. (They are all the same.)
    datagrams: usize,
    send_tos: usize,
    datagrams_received: usize,
    /// By token.
    flying: BTreeMap<u64, Posted>,
    /// All that were ever posted.
    ids: Vec<(EventId, u64)>,
    kept: Vec<(Event, Ask)>,
    shut_down: bool,
    posts: usize,
}

impl<'a> Play<'a> {
    pub fn new(channel: &'a EventChannel, patience: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to_listener = listener.local_addr().unwrap();
        let udp = || Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        Play {
            channel,
            patience,
            pairs: (0..PAIRS).map(|n| Pair::new(n == PAIRS - 1)).collect(),
            listener: Arc::new(listener),
            to_listener,
            near: udp(),
            far: udp(),
            clients: Vec::new(),
            connected: 0,
            connects: 0,
            accepted: 0,
            datagrams: 0,
            send_tos: 0,
            datagrams_received: 0,
            flying: BTreeMap::new(),
            ids: Vec::new(),
            kept: Vec::new(),
            shut_down: false,
            posts: 0,
        }
    }

    pub fn step(&mut self, step: &Step) -> Checked {
        match step {
            Step::Post(ask) => {
                let (request, before) = (self.request(ask), Instant::now());
                match self.channel.post(request) {
                    Ok(id) => self.posted(&[id], &[*ask], before)?,
                    Err(error) => prop_assert!(self.shut_down, "{}", error),
                }
            }
            Step::PostAll(asks) => {
                let requests: Vec<_> =
                    asks.iter().enumerate().map(|(n, ask)| self.request(ask).token(self.token(n))).collect();
                let before = Instant::now();
                match self.channel.post_all(requests) {
                    Ok(ids) => self.posted(&ids, asks, before)?,
                    Err(error) => prop_assert!(self.shut_down && error.ids().is_empty(), "{}", error),
                }
            }
            Step::Again(index) if !self.kept.is_empty() => {
                let (event, ask) = self.kept.swap_remove(index.index(self.kept.len()));
                let before = Instant::now();
                match self.channel.post(event.again().token(self.token(0))) {
                    Ok(id) => self.posted(&[id], &[ask], before)?,
                    Err(error) => prop_assert!(self.shut_down, "{}", error),
                }
            }
            Step::Cancel(index) if !self.ids.is_empty() => self.cancel(index.index(self.ids.len()))?,
            Step::Again(_) | Step::Cancel(_) => {}
            Step::Get => self.get(1, true)?,
            Step::Try => self.get(1, false)?,
            Step::GetMany(n) => self.get(*n, true)?,
            Step::Feed { pair, bytes } => {
                let pair = &mut self.pairs[*pair];
                let bytes: Vec<u8> = (pair.fed..(pair.fed + bytes).min(256)).map(|n| n as u8).collect();
                if let (Some(far), false) = (&mut pair.far, bytes.is_empty()) {
                    far.write_all(&bytes).unwrap();
                    pair.fed += bytes.len();
                }
            }
            Step::Drain(pair) => self.pairs[*pair].drain(),
            Step::Close(pair) => drop(self.pairs[*pair].far.take()),
            Step::Dial => {
                let client = fleeting_socket();
                client.connect(&self.to_listener.into()).unwrap();
                self.clients.push(client);
                self.connected += 1;
            }
            Step::Datagram => {
                self.far.send_to(b"datagram", self.near.local_addr().unwrap()).unwrap();
                self.datagrams += 1;
            }
            Step::Pause => thread::sleep(Duration::from_millis(1)),
            Step::Shutdown => {
                self.channel.shutdown();
                self.shut_down = true;
            }
        }
        Ok(())
    }

    fn token(&self, ahead: usize) -> u64 {
        (self.posts + ahead) as u64
    }

    fn request(&self, ask: &Ask) -> Request {
        let near = |pair: usize| Source::from(self.pairs[pair].near.clone());
        let request = match ask.what {
            What::Notification => Request::notification(),
            What::Timer(Some(ms)) => Request::timer(Duration::from_millis(ms.into())),
            What::Timer(None) => Request::timer(Duration::from_secs(3_600)),
            What::Recv { pair, room: n } => Request::recv(near(pair), room(n)),
            What::Send { pair, bytes } => Request::send(near(pair), vec![1; bytes]),
            What::Readable(pair) => Request::readiness(near(pair), Interest::READABLE),
            What::Writable(pair) => Request::readiness(near(pair), Interest::WRITABLE),
            What::Accept => Request::accept(self.listener.clone()),
            What::Connect => Request::connect(OwnedFd::from(fleeting_socket()), self.to_listener),
            What::RecvFrom => Request::recv_from(self.near.clone(), room(8)),
            What::SendTo => {
                let to = self.near.local_addr().unwrap();
                Request::send_to(self.far.clone(), b"datagram".to_vec(), to)
            }
        };
        let limit = ask.limit.filter(|_| !matches!(ask.what, What::Timer(_)));
        let request = request.token(self.token(0));
        match limit {
            Some(ms) => request.within(Duration::from_millis(ms.into())),
            None => request,
        }
    }

    fn posted(&mut self, ids: &[EventId], asks: &[Ask], before: Instant) -> Checked {
        prop_assert!(!self.shut_down, "posted after a shutdown");
        prop_assert_eq!(ids.len(), asks.len());
        for (&id, &ask) in ids.iter().zip(asks) {
            let (fed, was_readable) = match ask.what {
                What::Readable(pair) => (self.pairs[pair].fed, self.pairs[pair].unreceived()),
                _ => (0, false),
            };
            match ask.what {
                What::Send { pair, .. } => self.pairs[pair].sends += 1,
                What::Connect => self.connects += 1,
                What::SendTo => self.send_tos += 1,
                _ => {}
            }
            let token = self.token(0);
            prop_assert!(self.ids.iter().all(|(other, _)| *other != id), "an id came twice");
            let between = (before, Instant::now());
            let serial = self.posts;
            let posted = Posted { id, ask, serial, cancelled: false, between, fed, was_readable };
            self.flying.insert(token, posted);
            self.ids.push((id, token));
            self.posts += 1;
        }
        Ok(())
    }

    fn cancel(&mut self, at: usize) -> Checked {
        let (id, token) = self.ids[at];
        let found = self.channel.cancel(id);
        match self.flying.get_mut(&token) {
            None => prop_assert!(!found, "{:?} has come back, and was cancelled", id),
            Some(posted) => {
                // (One that was cancelled before may be ready. A timer of an hour is not.)
                let may_be_ready = posted.ask.what != What::Timer(None) || posted.cancelled || self.shut_down;
                prop_assert!(found || may_be_ready, "{:?} is in flight, and is not found", id);
                posted.cancelled |= found;
            }
        }
        Ok(())
    }

    /// Is it to come now?
    fn is_due(&self, posted: &Posted) -> bool {
        let over = posted.limit().is_some_and(|limit| posted.between.1.elapsed() >= limit);
        over || posted.cancelled
            || self.shut_down
            || match posted.ask.what {
                What::Notification | What::Connect | What::SendTo => true,
                What::Timer(_) => false,
                What::Recv { pair, .. } | What::Readable(pair) => {
                    self.pairs[pair].unreceived() || self.pairs[pair].is_closed()
                }
                What::Send { pair, .. } | What::Writable(pair) => self.pairs[pair].takes(),
                What::Accept => self.connected > self.accepted,
                What::RecvFrom => self.datagrams > self.datagrams_received,
            }
    }

    /// Will something come, whatever else is done? (Where one request is carried out at a time, those behind it wait for it.)
    fn something_comes(&self) -> bool {
        let direct = self.channel.driver().kind() == Driver::Direct;
        let first = self.flying.values().filter(|it| it.needs_driver()).map(|it| it.serial).min();
        self.flying.values().any(|it| {
            let has_its_turn = !direct || !it.needs_driver() || first == Some(it.serial);
            let ends = it.limit().is_some() || it.cancelled || self.shut_down;
            ends || has_its_turn && self.is_due(it)
        })
    }

    fn get(&mut self, many: usize, waits: bool) -> Checked {
        let comes = self.something_comes();
        let at_once = self.flying.values().any(|it| it.ask.what == What::Notification);
        let time = if comes { self.patience } else { Duration::from_millis(1) };
        let mut events = Vec::new();
        let got = match (many, waits) {
            (1, false) => self.channel.try_get_event().map(|event| events.extend(event)),
            (1, true) => self.channel.get_event_timeout(time).map(|event| events.extend(event)),
            _ => self.channel.get_events(&mut events, many, Some(time)).map(drop),
        };
        if let Err(error) = got {
            prop_assert!(self.shut_down && self.flying.is_empty(), "{}", error);
            return Ok(());
        }
        prop_assert!(!(self.shut_down && self.flying.is_empty()), "no error where nothing can come any more");
        prop_assert!(events.len() <= many);
        let must = if waits { comes } else { at_once };
        prop_assert!(!must || !events.is_empty(), "nothing came of what is in flight");
        events.into_iter().try_for_each(|event| self.came(event))
    }

    /// An event has come back: may it, and with this?
    fn came(&mut self, event: Event) -> Checked {
        let Some(posted) = self.flying.remove(&event.token()) else {
            return Err(TestCaseError::fail(format!("{event:?} was not in flight")));
        };
        prop_assert_eq!(event.id(), posted.id);
        let (ask, errno) = (posted.ask, event.failure().map_or(0, |failure| failure.errno()));
        match errno {
            0 => self.succeeded(&posted, &event)?,
            libc::ECANCELED => prop_assert!(posted.cancelled || self.shut_down, "nobody cancelled {:?}", ask),
            libc::ETIME => {
                let over = posted.limit().is_some_and(|limit| posted.between.0.elapsed() >= limit);
                prop_assert!(over && posted.needs_driver(), "{:?} is timed out", ask);
            }
            libc::EPIPE | libc::ECONNRESET => {
                let (What::Recv { pair, .. } | What::Send { pair, .. }) = ask.what else {
                    return Err(TestCaseError::fail(format!("{event:?}")));
                };
                prop_assert!(self.pairs[pair].is_closed(), "{:?}", event);
            }
            _ => return Err(TestCaseError::fail(format!("{ask:?} came to {event:?}"))),
        }
        if self.kept.len() < KEPT && ask.what != What::Connect {
            self.kept.push((event, ask));
        }
        Ok(())
    }

    fn succeeded(&mut self, posted: &Posted, event: &Event) -> Checked {
        let n = event.result().unwrap();
        let kind = match posted.ask.what {
            What::Notification => EventKind::Notification,
            What::Timer(_) => {
                let over = posted.limit().is_some_and(|limit| posted.between.0.elapsed() >= limit);
                prop_assert!(over, "a timer came early");
                EventKind::Timer
            }
            What::Recv { pair, room } => {
                prop_assert!(n == event.buffer().len() && n <= room);
                prop_assert!(n > 0 || self.pairs[pair].is_closed(), "the end of a stream that goes on");
                self.pairs[pair].receive(event.buffer())?;
                EventKind::Recv
            }
            What::Send { pair, bytes } => {
                prop_assert!(n == bytes && self.pairs[pair].takes(), "sent into a full buffer");
                self.pairs[pair].sent += n;
                EventKind::Send
            }
            What::Readable(pair) => {
                prop_assert_eq!(event.ready(), Interest::READABLE);
                let pair = &self.pairs[pair];
                prop_assert!(
                    posted.was_readable || pair.fed > posted.fed || pair.is_closed(),
                    "nothing to read"
                );
                EventKind::Readiness
            }
            What::Writable(pair) => {
                prop_assert_eq!(event.ready(), Interest::WRITABLE);
                prop_assert!(self.pairs[pair].takes(), "no room to write");
                EventKind::Readiness
            }
            What::Accept => {
                self.accepted += 1;
                prop_assert!(self.accepted <= self.connected + self.connects, "nobody has connected");
                EventKind::Accept
            }
            What::Connect => {
                self.connected += 1;
                self.connects -= 1;
                EventKind::Connect
            }
            What::RecvFrom => {
                prop_assert_eq!(event.buffer(), b"datagram");
                prop_assert_eq!(event.address(), self.far.local_addr().ok());
                self.datagrams_received += 1;
                prop_assert!(self.datagrams_received <= self.datagrams + self.send_tos, "from nowhere");
                EventKind::RecvFrom
            }
            What::SendTo => {
                prop_assert_eq!(n, 8);
                self.datagrams += 1;
                self.send_tos -= 1;
                EventKind::SendTo
            }
        };
        prop_assert_eq!(event.kind(), kind);
        Ok(())
    }

    /// Cancels what is left, gets it, and looks into the sockets: what nobody has received is there.
    pub fn end(mut self) -> Checked {
        for at in 0..self.ids.len() {
            self.cancel(at)?;
        }
        while !self.flying.is_empty() {
            let before = self.flying.len();
            self.get(1, true)?;
            prop_assert!(
                self.flying.len() < before,
                "{:?}",
                self.flying.values().map(|it| it.ask).collect::<Vec<_>>()
            );
        }
        self.get(1, false)?;
        let (m, n) = (self.channel.metrics(), self.posts as u64);
        prop_assert_eq!((m.posted, m.completed, m.in_flight), (n, n, 0));
        for pair in &mut self.pairs {
            pair.near.set_nonblocking(true).unwrap();
            let mut byte = [0];
            while let Ok(1) = (&*pair.near).read(&mut byte) {
                pair.receive(&byte)?;
            }
            prop_assert!(!pair.unreceived(), "what the peer has sent is lost");
            if !pair.is_closed() {
                pair.drain();
                prop_assert_eq!(pair.drained, pair.sent, "what was sent");
            }
        }
        self.listener.set_nonblocking(true).unwrap();
        while self.listener.accept().is_ok() {
            self.accepted += 1;
        }
        let most = self.connected + self.connects;
        prop_assert!(
            (self.connected..=most).contains(&self.accepted),
            "a connection is lost, or one too many"
        );
        self.near.set_nonblocking(true).unwrap();
        while self.near.recv(&mut [0; 16]).is_ok() {
            self.datagrams_received += 1;
        }
        let most = self.datagrams + self.send_tos;
        prop_assert!(
            (self.datagrams..=most).contains(&self.datagrams_received),
            "a datagram is lost, or two"
        );
        Ok(())
    }
}
