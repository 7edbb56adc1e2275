//! A storm: requests of all kinds and streams from many threads, got by many, cancelled at random. Each is to come back once, a stream
//! after its items.

mod parts;
pub mod streams;

use super::{Random, fleeting_socket, room};
use ec_channel::{Event, EventChannel, EventKind, Interest, Request, Source};
use parts::{Brittle, Bytes, Cancels, Gate, IN_FLIGHT, expect_purpose, fatal, panic_on_purpose};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;
use streams::{Got, Hands, Streams};

/// Of those in flight so many connects, each with a socket of its own.
const CONNECTS: usize = 64;
/// Posted, and got, at once.
const BATCH: usize = 32;

/// How it storms.
#[derive(Clone, Copy)]
pub struct Storm {
    pub events: usize,
    pub posters: usize,
    pub getters: usize,
    /// What is the program's own panics now and then: handlers, what they are given, descriptors, iterators, and the getters themselves,
    /// whose threads end.
    pub panics: bool,
}

/// What became of the events.
#[derive(Default)]
pub struct Tally {
    pub done: AtomicU64,
    pub cancelled: AtomicU64,
    pub timed_out: AtomicU64,
    pub failed: AtomicU64,
    /// Done, of each kind.
    pub kinds: PerKind,
    /// Closures that have run.
    pub run: AtomicU64,
    /// Getters that have died.
    pub deaths: AtomicU64,
    /// Other panics.
    pub panics: AtomicU64,
    pub streams: Streams,
}

/// A number for each kind.
pub struct PerKind(Vec<AtomicU64>);

impl Default for PerKind {
    fn default() -> Self {
        PerKind(EventKind::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl PerKind {
    pub fn of(&self, kind: EventKind) -> &AtomicU64 {
        &self.0[kind as usize]
    }
}

/// Panics as it goes.
struct Bomb(Arc<World>);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.0.tally.panics.fetch_add(1, SeqCst);
            panic_on_purpose();
        }
    }
}

/// In a mark: it has come back; its datagram has arrived; it is a stream. The rest says of which kind it is.
const BACK: u16 = 0x100;
const ARRIVED: u16 = 0x200;
const STREAM: u16 = 0x400;
const KIND: u16 = 0xff;

/// What it is made of.
pub const KINDS: [EventKind; 11] = [
    EventKind::Accept,
    EventKind::Connect,
    EventKind::Recv,
    EventKind::Send,
    EventKind::RecvFrom,
    EventKind::SendTo,
    EventKind::Readiness,
    EventKind::Timer,
    EventKind::Notification,
    EventKind::ReadAt,
    EventKind::Work,
];

/// What is read.
const FILE: &[u8] = b"a file of some bytes";

fn file() -> Source {
    // SAFETY: a name; the descriptor is new, and ours.
    let file = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"storm".as_ptr(), 0)) };
    std::fs::File::from(file.try_clone().unwrap()).write_all(FILE).unwrap();
    file.into()
}

/// All that the threads of a storm share.
struct World {
    storm: Storm,
    tally: Tally,
    /// One for each token.
    marks: Vec<AtomicU16>,
    gate: Gate,
    connects: AtomicUsize,
    /// Received from: the writer writes into its other end.
    inlet: Source,
    brittle: Source,
    received: Bytes,
    /// Sent to: the sink reads from its other end.
    outlet: Source,
    sent: Bytes,
    /// Nobody writes into its other end.
    silent: Source,
    file: Source,
    listener: Source,
    to_listener: SocketAddr,
    datagrams: Source,
    to_datagrams: SocketAddr,
}

impl World {
    fn new(storm: Storm, inlet: UnixStream, outlet: UnixStream, silent: UnixStream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to_listener = listener.local_addr().unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to_datagrams = datagrams.local_addr().unwrap();
        let stream = inlet.try_clone().unwrap();
        let every = if storm.panics { 50 } else { usize::MAX };
        let brittle = Brittle { stream, asked: AtomicUsize::new(0), every };
        World {
            storm,
            tally: Tally::default(),
            marks: (0..storm.events).map(|_| AtomicU16::new(0)).collect(),
            gate: Gate { room: Mutex::new(IN_FLIGHT), more: Condvar::new() },
            connects: AtomicUsize::new(0),
            inlet: inlet.into(),
            brittle: Source::from(Arc::new(brittle)),
            received: Bytes::default(),
            outlet: outlet.into(),
            sent: Bytes::default(),
            silent: silent.into(),
            file: file(),
            listener: listener.into(),
            to_listener,
            datagrams: datagrams.into(),
            to_datagrams,
        }
    }

    /// Any request; what waits has a limit. `alone`: or one that only a cancel ends, and that is said with it.
    fn request(self: &Arc<Self>, token: usize, random: &mut Random, alone: bool) -> (Request, bool) {
        let limit = Duration::from_micros(20 + random.below(3_000));
        let waits = |request: Request| request.within(limit);
        let mut only_a_cancel = false;
        let mut mark = 0;
        let request = match random.below(29) {
            0..3 => waits(Request::recv(self.inlet.clone(), room(1 + random.below(4) as usize))),
            3 => waits(Request::recv(self.brittle.clone(), room(1 + random.below(4) as usize))),
            4..6 => {
                waits(Request::send(self.outlet.clone(), vec![token as u8; 1 + random.below(8) as usize]))
            }
            6..9 => Request::timer(limit),
            9 => waits(Request::recv(self.silent.clone(), room(1))),
            10 if alone => {
                only_a_cancel = true;
                Request::recv(self.silent.clone(), room(1))
            }
            10..12 => waits(Request::readiness(self.inlet.clone(), Interest::READABLE)),
            12 => waits(Request::readiness(self.outlet.clone(), Interest::WRITABLE)),
            13 => waits(Request::readiness(self.silent.clone(), Interest::READABLE)),
            14 => waits(Request::recv_from(self.datagrams.clone(), room(8))),
            15 => {
                let number = (token as u64).to_ne_bytes().to_vec();
                waits(Request::send_to(self.datagrams.clone(), number, self.to_datagrams))
            }
            16 => waits(Request::accept(self.listener.clone())),
            17 if self.connects.fetch_add(1, SeqCst) < CONNECTS => {
                waits(Request::connect(OwnedFd::from(fleeting_socket()), self.to_listener))
            }
            17 => {
                self.connects.fetch_sub(1, SeqCst);
                Request::timer(Duration::ZERO)
            }
            18..20 => {
                mark = STREAM;
                let sources = [&self.inlet, &self.outlet, &self.silent];
                let request;
                (request, only_a_cancel) = self.tally.streams.request(token as u64, random, sources, alone);
                request
            }
            20 => waits(Request::read_at(self.file.clone(), room(1), random.below(FILE.len() as u64))),
            21 => Request::read_at(self.file.clone(), room(1), random.below(FILE.len() as u64)),
            22 => {
                let world = self.clone();
                let work = move || {
                    world.tally.run.fetch_add(1, SeqCst);
                    if world.storm.panics && token.is_multiple_of(5) {
                        panic_on_purpose();
                    }
                    token
                };
                Request::work(work).within(limit)
            }
            _ => Request::notification(),
        };
        self.marks[token].store(mark | request.kind() as u16, SeqCst);
        let mut request = request.token(token as u64);
        if random.below(8) == 0 {
            let world = self.clone();
            let handler = move |channel: &EventChannel, event: Event| {
                let panics = world.storm.panics && event.token().is_multiple_of(3);
                let now = world.tally.streams.now();
                world.take(channel, &event, Got { began: now, ended: now, handles: true });
                world.tally.streams.let_go(event);
                if panics {
                    world.tally.panics.fetch_add(1, SeqCst);
                    panic_on_purpose();
                }
            };
            request = request.on_complete(handler);
            if self.storm.panics && random.below(4) == 0 {
                request = request.context(Box::new(Bomb(self.clone())));
            }
        }
        (request, only_a_cancel)
    }

    /// What was to be this token's request was not posted.
    fn unmake(&self, token: usize) {
        let mark = self.marks[token].swap(0, SeqCst);
        if mark & STREAM != 0 {
            self.tally.streams.unmake(token as u64);
        } else if mark == EventKind::Connect as u16 {
            self.connects.fetch_sub(1, SeqCst);
        }
    }

    /// An event has come.
    fn take(&self, channel: &EventChannel, event: &Event, got: Got) {
        let mark = &self.marks[event.token() as usize];
        let mark = if event.is_last() { mark.fetch_or(BACK, SeqCst) } else { mark.load(SeqCst) };
        let kind = event.kind();
        if mark & KIND != kind as u16 || mark & STREAM == 0 && !event.is_last() {
            fatal(&format!("with another one's token: {event:?}"));
        }
        if !event.is_last() {
            return self.tally.streams.item(channel, event, got);
        }
        if mark & BACK != 0 {
            fatal(&format!("twice: {event:?}"));
        }
        if mark & STREAM != 0 {
            self.tally.streams.last(event, got);
        }
        let tell = match event.result() {
            Ok(_) => &self.tally.done,
            Err(_) if event.is_cancelled() => &self.tally.cancelled,
            Err(_) if event.is_timed_out() => &self.tally.timed_out,
            // (Ports may be short.)
            Err(_) if matches!(kind, EventKind::Connect | EventKind::Accept) => &self.tally.failed,
            Err(_) => fatal(&format!("{event:?}")),
        };
        tell.fetch_add(1, SeqCst);
        if let Ok(n) = event.result() {
            self.tally.kinds.of(kind).fetch_add(1, SeqCst);
            match kind {
                EventKind::Recv => self.received.count(event.buffer()),
                // (Behind the end there is nothing.)
                EventKind::ReadAt if n != 1 || !FILE.contains(&event.buffer()[0]) => {
                    fatal(&format!("{event:?}"))
                }
                EventKind::Send => self.sent.count(&event.buffer()[..n]),
                EventKind::RecvFrom => {
                    let token = u64::from_ne_bytes(event.buffer().try_into().unwrap());
                    let mark = self.marks[token as usize].fetch_or(ARRIVED, SeqCst);
                    if mark & ARRIVED != 0 || mark & KIND != EventKind::SendTo as u16 {
                        fatal(&format!("the datagram of {token} has come before, or was not sent"));
                    }
                }
                _ => {}
            }
        }
        if kind == EventKind::Connect {
            self.connects.fetch_sub(1, SeqCst);
        }
        self.gate.give(1);
    }

    fn post(self: &Arc<Self>, channel: &EventChannel, next: &AtomicUsize, cancels: &Cancels, seed: u64) {
        let mut random = Random(seed);
        let all = self.storm.events;
        loop {
            let many = if random.below(3) == 0 { 1 + random.below(BATCH as u64) as usize } else { 1 };
            let first = next.fetch_add(many, SeqCst);
            let end = all.min(first + many);
            if first >= end {
                return;
            }
            self.gate.take(end - first);
            let mut at = first;
            while at < end {
                let (token, must) = (Cell::new(at), Cell::new(false));
                let mut make = |n| {
                    token.set(n);
                    if self.storm.panics && random.below(200) == 0 {
                        panic_on_purpose();
                    }
                    let (request, only_a_cancel) = self.request(n, &mut random, many == 1);
                    must.set(only_a_cancel);
                    request
                };
                let posted = catch_unwind(AssertUnwindSafe(|| match many {
                    1 => vec![channel.post(make(at)).unwrap()],
                    _ => channel.post_all((at..end).map(make)).unwrap(),
                }));
                match posted {
                    Ok(ids) => {
                        at = end;
                        for id in ids {
                            if must.get() || random.below(4) == 0 {
                                cancels.ids.lock().unwrap().push(id);
                            } else if random.below(16) == 0 {
                                channel.cancel(id);
                            }
                        }
                    }
                    Err(payload) => {
                        // None of them has been posted.
                        expect_purpose(payload);
                        self.tally.panics.fetch_add(1, SeqCst);
                        (at..end.min(token.get() + 1)).for_each(|n| self.unmake(n));
                    }
                }
            }
        }
    }

    /// One thread's life.
    fn get(&self, channel: &EventChannel, style: usize, seed: u64) {
        let mut random = Random(seed);
        let mut hands = Hands::new(&self.tally.streams);
        loop {
            let batch = &mut hands.batch;
            let began = self.tally.streams.now();
            let span = Duration::from_micros(random.below(300));
            let got = match style % 4 {
                0 => channel.get_event().map(|event| batch.push(event)),
                1 => channel.get_events(batch, BATCH, None).map(drop),
                2 => channel.get_event_timeout(span).map(|event| batch.extend(event)),
                _ => channel.get_events(batch, BATCH, (random.below(2) == 0).then_some(span)).map(drop),
            };
            if let Err(error) = got {
                assert!(error.to_string().contains("shut down"), "{error}");
                return;
            }
            let got = Got { began, ended: self.tally.streams.now(), handles: false };
            for (n, event) in batch.iter().enumerate() {
                if batch[..n].iter().any(|before| before.is_last() && before.token() == event.token()) {
                    fatal(&format!("behind the last event: {event:?}"));
                }
                self.take(channel, event, got);
            }
            if self.storm.panics && !batch.is_empty() && random.below(300) == 0 {
                panic_on_purpose();
            }
            hands.empty(&mut random);
        }
    }

    /// One thread after the other.
    fn keep_getting(&self, channel: &EventChannel, style: usize) {
        for life in 1.. {
            let seed = (style * 1_000_003 + life) as u64;
            let alive = || self.get(channel, style, seed);
            match thread::scope(|s| thread::Builder::new().spawn_scoped(s, alive).unwrap().join()) {
                Ok(()) => return,
                Err(payload) => expect_purpose(payload),
            }
            self.tally.deaths.fetch_add(1, SeqCst);
        }
    }
}

/// Lets it storm. All that was posted comes back once, with its token; all bytes that went in come out once.
pub fn storm(channel: &EventChannel, storm: Storm) -> Tally {
    let ((inlet, mut writer), (outlet, mut sink)) =
        (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let (silent, _mute) = UnixStream::pair().unwrap();
    let mut leftover = inlet.try_clone().unwrap();
    let world = Arc::new(World::new(storm, inlet, outlet, silent));
    let (next, over, cancels) = (AtomicUsize::new(0), AtomicBool::new(false), Cancels::default());
    let (written, arrived) = (Bytes::default(), Bytes::default());
    thread::scope(|s| {
        let world = &world;
        for style in 0..storm.getters {
            s.spawn(move || world.keep_getting(channel, style));
        }
        s.spawn(|| {
            writer.set_nonblocking(true).unwrap();
            let (mut random, mut chunk) = (Random(17), [0; 256]);
            while !over.load(SeqCst) {
                let n = 1 + random.below(256) as usize;
                chunk[..n].fill_with(|| random.below(256) as u8);
                if let Ok(taken) = writer.write(&chunk[..n]) {
                    written.count(&chunk[..taken]);
                }
                thread::sleep(Duration::from_micros(random.below(60)));
            }
        });
        s.spawn(|| {
            sink.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            let mut chunk = [0; 4096];
            loop {
                let last = over.load(SeqCst);
                match sink.read(&mut chunk) {
                    Ok(n) => arrived.count(&chunk[..n]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock && last => break,
                    Err(_) => {}
                }
            }
        });
        s.spawn(|| world.tally.streams.go_on_posting(&over));
        let canceller = s.spawn(|| cancels.go_on(channel));
        let posters: Vec<_> = (0..storm.posters)
            .map(|p| {
                let (next, cancels) = (&next, &cancels);
                s.spawn(move || world.post(channel, next, cancels, p as u64 + 1))
            })
            .collect();
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        cancels.no_more.store(true, SeqCst);
        canceller.join().unwrap();
        world.gate.until_all_are_back();
        channel.shutdown();
        over.store(true, SeqCst);
    });
    assert!(world.marks.iter().all(|mark| mark.load(SeqCst) & BACK != 0));
    // What no receive took is still in the socket: a cancelled receive swallows nothing.
    leftover.set_nonblocking(true).unwrap();
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = leftover.read(&mut chunk) {
        world.received.count(&chunk[..n]);
    }
    assert_eq!(world.received.get(), written.get(), "bytes received");
    assert_eq!(world.sent.get(), arrived.get(), "bytes sent");
    let (m, n) = (channel.metrics(), storm.events as u64);
    assert_eq!((m.posted, m.completed, m.in_flight, m.handlers_due), (n, n, 0, 0));
    assert_eq!(world.tally.run.load(SeqCst), world.tally.kinds.of(EventKind::Work).load(SeqCst), "work run");
    assert_eq!(m.items, world.tally.streams.end(), "items of streams");
    assert_eq!(m.cancelled, world.tally.cancelled.load(SeqCst), "cancelled");
    Arc::into_inner(world).expect("no request is left that holds it").tally
}
