//! The model: what is in flight, what may come of it, and whether anything has to come.

mod came;
mod end;
mod streams;

use super::common::{fleeting_socket, room};
use super::course::Course;
use super::pair::Pair;
use super::posted::Posted;
use super::steps::{Ask, PAIRS, Step, What};
use ec_channel::{Event, EventChannel, EventId, Interest, Request, Source};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// Of ten bytes, the digits.
    file: Source,
    /// Closures that have run, and whose events have said so.
    run: Arc<AtomicUsize>,
    done: usize,
    /// By token.
    flying: BTreeMap<u64, Posted>,
    /// All that were ever posted.
    ids: Vec<(EventId, u64)>,
    kept: Vec<(Event, Ask)>,
    /// Items of streams.
    held: Vec<Event>,
    shut_down: bool,
    posts: usize,
    /// Posts, and streams that went on.
    order: usize,
    /// Items that have come, and events that were cancelled.
    items: usize,
    cancelled: u64,
}

fn digits() -> Source {
    // SAFETY: a name; the descriptor is new, and ours.
    let file = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"digits".as_ptr(), 0)) };
    let mut file = std::fs::File::from(file);
    file.write_all(b"0123456789").unwrap();
    file.into()
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
            file: digits(),
            run: Arc::default(),
            done: 0,
            flying: BTreeMap::new(),
            ids: Vec::new(),
            kept: Vec::new(),
            held: Vec::new(),
            shut_down: false,
            posts: 0,
            order: 0,
            items: 0,
            cancelled: 0,
        }
    }

    pub fn step(&mut self, step: &Step) -> Checked {
        self.take(step)?;
        self.check_counts()
    }

    fn take(&mut self, step: &Step) -> Checked {
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
            Step::LetGo { item, posts } if !self.held.is_empty() => {
                self.let_go(item.index(self.held.len()), *posts)?;
            }
            Step::Again(_) | Step::Cancel(_) | Step::LetGo { .. } => {}
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
            Step::Pause(ms) => thread::sleep(Duration::from_millis((*ms).into())),
            Step::Shutdown => {
                self.channel.shutdown();
                self.shut_down = true;
                let unfetched = self.unfetched();
                for course in self.flying.values_mut().filter_map(|it| it.stream.as_mut()) {
                    course.give_up(unfetched);
                }
            }
        }
        Ok(())
    }

    fn next_serial(&mut self) -> usize {
        self.order += 1;
        self.order
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
            What::ReadAt(offset) => Request::read_at(self.file.clone(), room(1), offset.into()),
            What::Work => {
                let run = self.run.clone();
                Request::work(move || run.fetch_add(1, Ordering::SeqCst))
            }
            What::Interval { ms, credit } => {
                Request::interval(Duration::from_millis(ms.into())).credit(credit as u32)
            }
            What::ReadableAgain(pair) => Request::readiness_stream(near(pair), Interest::READABLE),
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
                What::Readable(pair) | What::ReadableAgain(pair) => {
                    (self.pairs[pair].fed, self.pairs[pair].unreceived())
                }
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
            let (serial, stream) = (self.next_serial(), Course::of(ask.what));
            let posted = Posted { id, ask, serial, cancelled: false, between, fed, was_readable, stream };
            self.flying.insert(token, posted);
            self.ids.push((id, token));
            self.posts += 1;
        }
        Ok(())
    }

    fn cancel(&mut self, at: usize) -> Checked {
        let (id, token) = self.ids[at];
        let (found, unfetched) = (self.channel.cancel(id), self.unfetched());
        // (One that was cancelled before may be ready. A timer of an hour is not, nor is a stream.)
        let may_be_ready = self.flying.get(&token).is_some_and(|it| self.may_be_ready(it));
        match self.flying.get_mut(&token) {
            None => prop_assert!(!found, "{:?} has come back, and was cancelled", id),
            Some(posted) => {
                prop_assert!(found || may_be_ready, "{:?} is in flight, and is not found", id);
                posted.cancelled |= found;
                if let (Some(course), true) = (&mut posted.stream, found) {
                    course.give_up(unfetched);
                }
            }
        }
        Ok(())
    }
}
