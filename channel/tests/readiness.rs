//! What each request comes to on each kind of descriptor, whatever has happened to that: on every driver the same as the
//! blocking system call on a plain thread.

mod common;
#[path = "common/descriptors.rs"]
mod descriptors;

use common::{drivers, each_driver};
use descriptors::{
    CONDITIONS, Condition, KINDS, Kind, Thing, let_happen, listening, make, set_nonblocking, write_four,
};
use ec_channel::{Driver, Event, EventChannel, EventId, EventKind, Interest, Request, Source};
use ec_test_support::{alone, cpu_time};
use ec_unkind as _;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Recv,
    RecvFrom,
    Send,
    SendTo,
    Accept,
    Connect,
    Readable,
    Writable,
    Priority,
}

const CALLS: [Call; 9] = [
    Call::Recv,
    Call::RecvFrom,
    Call::Send,
    Call::SendTo,
    Call::Accept,
    Call::Connect,
    Call::Readable,
    Call::Writable,
    Call::Priority,
];

/// A number of bytes, say, or an errno.
type Outcome = Result<i32, i32>;

fn interest(call: Call) -> i16 {
    match call {
        Call::Readable => libc::POLLIN,
        Call::Writable => libc::POLLOUT,
        _ => libc::POLLPRI,
    }
}

/// The system call, on this thread.
fn blocking(call: Call, fd: i32, to: SocketAddr) -> Outcome {
    let to = socket2::SockAddr::from(to);
    let mut room = [0u8; 64];
    // SAFETY: all buffers and addresses are live.
    let n = unsafe {
        match call {
            Call::Recv => libc::recv(fd, room.as_mut_ptr().cast(), 64, 0),
            Call::RecvFrom => {
                let (addr, len) = (std::ptr::null_mut(), std::ptr::null_mut());
                libc::recvfrom(fd, room.as_mut_ptr().cast(), 64, 0, addr, len)
            }
            Call::Send => libc::send(fd, room.as_ptr().cast(), 9, libc::MSG_NOSIGNAL),
            Call::SendTo => {
                let flags = libc::MSG_NOSIGNAL;
                libc::sendto(fd, room.as_ptr().cast(), 9, flags, to.as_ptr().cast(), to.len())
            }
            Call::Accept => {
                let new = libc::accept(fd, std::ptr::null_mut(), std::ptr::null_mut());
                if new >= 0 { libc::close(new) as isize } else { -1 }
            }
            Call::Connect => libc::connect(fd, to.as_ptr().cast(), to.len()) as isize,
            Call::Readable | Call::Writable | Call::Priority => {
                let mut ask = libc::pollfd { fd, events: interest(call), revents: 0 };
                let n = libc::poll(&mut ask, 1, -1) as isize;
                let failed = ask.revents & (libc::POLLERR | libc::POLLHUP) != 0;
                if n < 0 { n } else { (if failed { interest(call) } else { ask.revents }) as isize }
            }
        }
    };
    if n < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(n as i32) }
}

/// A thread that is in a system call, until it is called back.
struct Caller {
    thread: JoinHandle<Outcome>,
    called_back: Arc<AtomicBool>,
}

impl Caller {
    fn new(call: Call, thing: Thing, to: SocketAddr) -> Self {
        // SAFETY: the handler does nothing.
        unsafe {
            extern "C" fn nothing(_: i32) {}
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
        }
        let called_back = Arc::new(AtomicBool::new(false));
        let over = called_back.clone();
        let thread = std::thread::spawn(move || {
            // (All of it: the other end stays open, too.)
            let thing = thing;
            loop {
                match blocking(call, thing.fd.as_raw_fd(), to) {
                    Err(libc::EINTR) if !over.load(Ordering::SeqCst) => (),
                    outcome => return outcome,
                }
            }
        });
        Self { thread, called_back }
    }

    fn end(self) -> Outcome {
        self.called_back.store(true, Ordering::SeqCst);
        while !self.thread.is_finished() {
            // SAFETY: the thread has not been joined.
            unsafe { libc::pthread_kill(self.thread.as_pthread_t(), libc::SIGUSR1) };
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread.join().unwrap()
    }
}

type Told = Arc<OnceLock<Outcome>>;

fn outcome(event: &Event) -> Outcome {
    match event.result() {
        Err(e) => Err(e.raw_os_error().unwrap_or(-1)),
        Ok(_) if event.kind() == EventKind::Readiness => {
            let bit = |interest: Interest, bit: i16| {
                if event.ready() == event.ready() | interest { bit } else { 0 }
            };
            Ok(i32::from(
                bit(Interest::READABLE, libc::POLLIN)
                    | bit(Interest::WRITABLE, libc::POLLOUT)
                    | bit(Interest::PRIORITY, libc::POLLPRI),
            ))
        }
        Ok(n) => Ok(n as i32),
    }
}

fn post(channel: &EventChannel, call: Call, thing: Thing, to: SocketAddr) -> (EventId, Told) {
    let (fd, room) = (thing.fd, Vec::with_capacity(64));
    let request = match call {
        Call::Recv => Request::recv(fd, room),
        Call::RecvFrom => Request::recv_from(fd, room),
        Call::Send => Request::send(fd, vec![0; 9]),
        Call::SendTo => Request::send_to(fd, vec![0; 9], to),
        Call::Accept => Request::accept(fd),
        Call::Connect => Request::connect(fd, to),
        Call::Readable => Request::readiness(fd, Interest::READABLE),
        Call::Writable => Request::readiness(fd, Interest::WRITABLE),
        Call::Priority => Request::readiness(fd, Interest::PRIORITY),
    };
    let told = Told::default();
    let tell = told.clone();
    // The other end stays open as long as the request is on its way.
    let peer = thing.peer;
    let request = request.on_complete(move |_, event| {
        let _peer = &peer;
        tell.set(outcome(&event)).expect("once");
    });
    (channel.post(request).unwrap(), told)
}

fn cpu() -> Duration {
    cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// One cell of the table.
struct Cell {
    what: (Condition, Kind, Call),
    caller: Caller,
    told: Vec<(Driver, EventId, Told)>,
}

impl Cell {
    fn new(
        what: (Condition, Kind, Call),
        channels: &[EventChannel],
        to: SocketAddr,
        mode: Mode,
    ) -> Option<Self> {
        let (condition, kind, call) = what;
        let thing = || {
            let mut thing = make(kind);
            let_happen(condition, kind, &mut thing).then_some(thing)
        };
        let caller = Caller::new(call, thing()?, to);
        let told = channels.iter().map(|channel| {
            let thing = thing().expect("as before");
            if mode == Mode::NonBlocking {
                set_nonblocking(&thing.fd);
            }
            let (id, told) = post(channel, call, thing, to);
            (channel.driver().kind(), id, told)
        });
        Some(Self { what, told: told.collect(), caller })
    }

    /// All have ended, or all wait.
    fn agrees(&self) -> bool {
        let ended = self.caller.thread.is_finished();
        // (At one moment.)
        self.told.iter().all(|(_, _, told)| told.get().is_some() == ended)
            && self.caller.thread.is_finished() == ended
    }

    /// Says in what they differ.
    fn compare(self, channels: &[EventChannel]) -> Option<String> {
        // (On a busy machine one comes to it earlier than another.)
        let begun = Instant::now();
        while !self.agrees() && begun.elapsed() < AT_MOST {
            std::thread::sleep(Duration::from_millis(1));
        }
        let ended = self.caller.thread.is_finished();
        let told: Vec<_> = self.told.iter().map(|(driver, _, told)| (*driver, told.get().copied())).collect();
        for ((_, id, _), channel) in self.told.iter().zip(channels) {
            channel.cancel(*id);
        }
        let outcome = self.caller.end();
        let expected = ended.then_some(outcome);
        let differ: Vec<_> = told.into_iter().filter(|(_, told)| *told != expected).collect();
        (!differ.is_empty()).then(|| format!("{:?}: {expected:?}, but {differ:?}", self.what))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Blocking,
    NonBlocking,
}

/// How long those that wait are watched.
const WATCHED: Duration = Duration::from_millis(50);

/// How long all may take to come to the same before it counts as a hang.
const AT_MOST: Duration = Duration::from_secs(20);

fn table(mode: Mode) {
    let (_held, to) = listening();
    let channels: Vec<_> =
        drivers().into_iter().map(|d| EventChannel::builder().driver(d).build().unwrap()).collect();
    let mut differ = Vec::new();
    std::thread::scope(|s| {
        for channel in &channels {
            s.spawn(|| while channel.get_event().is_ok() {});
        }
        for condition in CONDITIONS {
            for kinds in KINDS.chunks(8) {
                let whats = kinds.iter().flat_map(|k| CALLS.map(|call| (condition, *k, call)));
                let cells: Vec<_> = whats.filter_map(|what| Cell::new(what, &channels, to, mode)).collect();
                if cells.is_empty() {
                    continue;
                }
                let begun = Instant::now();
                while !cells.iter().all(Cell::agrees) && begun.elapsed() < AT_MOST {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let (spent, begun) = (cpu(), Instant::now());
                std::thread::sleep(WATCHED);
                let (spent, watched) = (cpu() - spent, begun.elapsed());
                let found = differ.len();
                differ.extend(cells.into_iter().filter_map(|cell| cell.compare(&channels)));
                if spent * 4 > watched {
                    differ.push(format!(
                        "{condition:?}, {kinds:?}: {spent:?} of CPU in {watched:?} of waiting"
                    ));
                }
                for line in &differ[found..] {
                    eprintln!("{line}");
                }
            }
        }
        for channel in &channels {
            channel.shutdown();
        }
    });
    assert!(differ.is_empty(), "{} cells differ", differ.len());
}

#[test]
fn each_request_comes_to_what_the_blocking_call_comes_to() {
    alone(300, || table(Mode::Blocking));
}

#[test]
fn the_mode_of_the_descriptor_makes_no_difference() {
    alone(300, || table(Mode::NonBlocking));
}

/// Readiness that helps nobody: what the process spends while that lasts, and that data is received all the same.
#[test]
fn who_is_ready_in_vain_is_asked_now_and_then() {
    for mode in [Mode::Blocking, Mode::NonBlocking] {
        for kind in [Kind::Tcp, Kind::UdpUnconnected] {
            alone(60, || {
                each_driver(|channel| {
                    let mut thing = make(kind);
                    assert!(let_happen(Condition::ErrorQueue, kind, &mut thing));
                    if mode == Mode::NonBlocking {
                        set_nonblocking(&thing.fd);
                    }
                    let source = Source::from(thing.fd.try_clone().unwrap());
                    let over = Duration::from_millis(300);
                    for call in [Call::Recv, Call::RecvFrom] {
                        let request = match call {
                            Call::Recv => Request::recv(source.clone(), Vec::with_capacity(64)),
                            _ => Request::recv_from(source.clone(), Vec::with_capacity(64)),
                        };
                        channel.post(request).unwrap();
                    }
                    // In one of some spans: others may disturb it.
                    let span = || {
                        channel.post(Request::timer(over).token(1)).unwrap();
                        let spent = cpu();
                        assert_eq!(channel.get_event().unwrap().token(), 1, "{kind:?}: nothing has come");
                        cpu() - spent
                    };
                    let spans: Vec<_> = (0..5).map(|_| span()).take_while(|s| *s * 20 >= over).collect();
                    assert!(spans.len() < 5, "{kind:?}, {mode:?}: {spans:?} of CPU in {over:?}");
                    let peer = thing.peer.take().unwrap();
                    for _ in 0..2 {
                        write_four(&peer);
                        assert_eq!(channel.get_event().unwrap().result().unwrap(), 4, "{kind:?}");
                    }
                })
            });
        }
    }
}

/// A descriptor that rests does not keep others, and a rival's gain is nobody's loss: who waits gets what comes next.
#[test]
fn a_rival_takes_what_was_ready_and_the_next_is_received() {
    alone(60, || {
        each_driver(|channel| {
            let thing = make(Kind::UdpConnected);
            let source = Source::from(thing.fd.try_clone().unwrap());
            let (over, wants) = (AtomicBool::new(false), AtomicUsize::new(0));
            std::thread::scope(|s| {
                let (rival, channel, over, wants) = (&thing.fd, &channel, &over, &wants);
                s.spawn(move || {
                    let mut room = [0u8; 8];
                    while !over.load(Ordering::SeqCst) {
                        if wants.load(Ordering::SeqCst) == 0 {
                            std::thread::yield_now();
                            continue;
                        }
                        // SAFETY: room for eight bytes, without waiting.
                        let took = unsafe {
                            libc::recv(rival.as_raw_fd(), room.as_mut_ptr().cast(), 8, libc::MSG_DONTWAIT)
                        };
                        wants.fetch_sub(usize::from(took > 0), Ordering::SeqCst);
                    }
                });
                for _ in 0..3 {
                    // (On a CPU of its own it would be the faster one for ever.)
                    wants.store(400, Ordering::SeqCst);
                    channel.post(Request::recv(source.clone(), Vec::with_capacity(8))).unwrap();
                    loop {
                        write_four(thing.peer.as_ref().unwrap());
                        if let Some(event) = channel.get_event_timeout(Duration::from_millis(1)).unwrap() {
                            assert_eq!(event.result().unwrap(), 4);
                            break;
                        }
                    }
                }
                over.store(true, Ordering::SeqCst);
            });
        })
    });
}

/// Ready in vain, again and again, a request is in the kernel's hands now and then, where it finds none to cancel.
#[test]
fn each_request_that_waits_in_vain_can_be_cancelled() {
    alone(60, || {
        each_driver(|channel| {
            for round in 0..5 {
                let mut thing = make(Kind::UdpUnconnected);
                assert!(let_happen(Condition::ErrorQueue, Kind::UdpUnconnected, &mut thing));
                let source = Source::from(thing.fd.try_clone().unwrap());
                let post = |token| {
                    let request = Request::recv(source.clone(), Vec::with_capacity(8)).token(token);
                    let limit = (token % 3 == 0).then(|| Duration::from_millis(token / 3 + round));
                    channel.post(limit.into_iter().fold(request, Request::within)).unwrap()
                };
                let ids: Vec<_> = (0..60).map(post).collect();
                for id in ids {
                    let _ = channel.get_event_timeout(Duration::from_micros(200)).unwrap();
                    channel.cancel(id);
                }
                while channel.metrics().in_flight > 0 {
                    let event = channel.get_event().unwrap();
                    assert!(event.is_cancelled() || event.is_timed_out(), "{event:?}");
                }
            }
        })
    });
}
