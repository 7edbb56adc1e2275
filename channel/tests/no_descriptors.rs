//! A process that may have no descriptor any more (`RLIMIT_NOFILE` is 0, and poll(2) is refused): what is open goes on, and comes to the same
//! on each driver.

mod common;

use common::{drivers, none_for, pair, room};
use ec_channel::raw::{Op, OpId, Operation, Poll, Recv, Registration, Timer};
use ec_channel::{Driver, Event, EventChannel, Interest, Request, Source};
use ec_test_support::{in_child, limit_descriptors, refuse, skipped, went_well};
use ec_unkind as _;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(5);

/// Sets the soft limit, until this is dropped.
struct Limit(u64);

impl Limit {
    fn of(count: u64) -> Limit {
        Limit(limit_descriptors(count))
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        limit_descriptors(self.0);
    }
}

fn channel(driver: Driver) -> EventChannel {
    EventChannel::builder().driver(driver).build().unwrap()
}

fn all_drivers() -> impl Iterator<Item = Driver> {
    drivers().into_iter().chain([Driver::Direct])
}

/// Posts a request and gets its event, for which it waits. Before it is there `then` is done.
fn after(channel: &EventChannel, request: Request, then: impl FnOnce()) -> Event {
    let id = channel.post(request).unwrap();
    none_for(channel, SOON);
    then();
    let event = channel.get_event().unwrap();
    assert_eq!(event.id(), id);
    event
}

fn at_once(channel: &EventChannel, request: Request) -> Event {
    let id = channel.post(request).unwrap();
    let event = channel.get_event().unwrap();
    assert_eq!(event.id(), id);
    event
}

fn readable(source: &Source) -> Request {
    Request::readiness(source.clone(), Interest::READABLE)
}

fn errno(event: &Event) -> Option<i32> {
    event.result().unwrap_err().raw_os_error()
}

/// It has no pipe of its own then, and reads and writes.
#[test]
fn a_pump_between_sockets_needs_no_descriptor() {
    went_well(in_child("a_pump_between_sockets_needs_no_descriptor", || {
        let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_ne_bytes).collect();
        for driver in all_drivers() {
            let channel = channel(driver);
            let ((mut writer, near), (far, mut reader)) =
                (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
            for end in [&near, &far] {
                end.set_nonblocking(true).unwrap();
            }
            let _limit = Limit::of(0);
            let event = thread::scope(|s| {
                s.spawn(|| {
                    writer.write_all(&content).unwrap();
                    drop(writer);
                });
                let came = s.spawn(|| {
                    let mut came = Vec::new();
                    reader.read_to_end(&mut came).unwrap();
                    came
                });
                let event = at_once(&channel, Request::pump(near, far).relay_end());
                assert!(came.join().unwrap() == content, "on {driver}");
                event
            });
            assert_eq!((event.failure(), event.pumped()), (None, content.len() as u64), "on {driver}");
        }
    }));
}

#[test]
fn each_kind_comes_to_what_it_comes_to_elsewhere() {
    went_well(in_child("each_kind_comes_to_what_it_comes_to_elsewhere", || {
        // (What is written to a pipe is a helper's on io_uring, then, who waits by itself.)
        // SAFETY: nobody here writes to where nobody reads.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        for driver in all_drivers() {
            eprintln!("on {driver}");
            let channel = channel(driver);
            let ((near, mut far), (other, mut its_peer)) = (pair(), UnixStream::pair().unwrap());
            let other = Arc::new(other);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let file = Source::from(File::open("/proc/self/exe").unwrap());
            let ((its_reader, to_read), (to_write, its_writer)) = (pipe(), pipe());
            let filled_pipe = fill_pipe(&its_writer);
            let limit = Limit::of(0);

            let received =
                after(&channel, Request::recv(near.clone(), room(8)), || far.write_all(b"one").unwrap());
            assert_eq!(received.buffer(), b"one");
            let ready = after(&channel, readable(&near), || far.write_all(b"two").unwrap());
            assert_eq!(ready.ready(), Interest::READABLE);
            let both = Interest::READABLE | Interest::WRITABLE;
            assert_eq!(at_once(&channel, Request::readiness(near.clone(), both)).ready(), both);
            assert_eq!(at_once(&channel, Request::recv(near.clone(), room(8))).buffer(), b"two");
            assert_eq!(at_once(&channel, Request::readiness(file.clone(), both)).ready(), both);

            assert_eq!(
                at_once(&channel, Request::send(near.clone(), b"three".to_vec())).result().unwrap(),
                5
            );
            far.read_exact(&mut [0; 5]).unwrap();
            let filled = fill(&other);
            let empty = || its_peer.read_exact(&mut vec![0; filled]).unwrap();
            assert_eq!(
                after(&channel, Request::send(other.clone(), b"four".to_vec()), empty).result().unwrap(),
                4
            );

            assert_eq!(errno(&at_once(&channel, Request::accept(listener))), Some(libc::EMFILE));
            let (mut end, source) = (&to_read, Source::from(its_reader));
            let words = || end.write_all(b"five").unwrap();
            assert_eq!(after(&channel, Request::read(source, room(8)), words).buffer(), b"five");
            let (mut end, source) = (&to_write, Source::from(its_writer));
            let empty = || end.read_exact(&mut vec![0; filled_pipe]).unwrap();
            assert_eq!(after(&channel, Request::write(source, b"six".to_vec()), empty).result().unwrap(), 3);

            let begun = Instant::now();
            at_once(&channel, Request::timer(SOON)).result().unwrap();
            assert!(begun.elapsed() >= SOON);
            let given_up = channel.post(Request::recv(near.clone(), room(8))).unwrap();
            none_for(&channel, SOON);
            channel.cancel(given_up);
            assert!(channel.get_event().unwrap().is_cancelled());
            // The end of the stream, and the readiness that says so.
            let ended = after(&channel, Request::recv(near.clone(), room(8)), || drop(far));
            assert_eq!(ended.result().unwrap(), 0);
            assert!(at_once(&channel, readable(&near)).ready().contains(Interest::READABLE));
            drop(limit);
        }
    }));
}

/// Sends until there is no more room. Gives how much that was.
fn fill(mut socket: &UnixStream) -> usize {
    socket.set_nonblocking(true).unwrap();
    let sent = std::iter::from_fn(|| socket.write(&[0; 4096]).ok()).sum();
    socket.set_nonblocking(false).unwrap();
    sent
}

/// Its two ends: to read from, and to write to.
fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are new and ours.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

/// Writes until there is no more room. Gives how much that was.
fn fill_pipe(mut end: &File) -> usize {
    let nonblocking = |on: bool| ec_channel::set_nonblocking(end.as_fd(), on).unwrap();
    nonblocking(true);
    let written = std::iter::from_fn(|| end.write(&[0; 4096]).ok()).sum();
    nonblocking(false);
    written
}

/// More descriptors are waited for than there may be; and among them one that does not say by itself which it is.
#[test]
fn many_that_are_waited_for_are_told_apart() {
    went_well(in_child("many_that_are_waited_for_are_told_apart", || {
        for driver in drivers() {
            for limit in [0, 10] {
                let channel = channel(driver);
                let pairs: Vec<_> = (0..80).map(|_| pair()).collect();
                let _limit = Limit::of(limit);
                for (token, (near, _)) in pairs.iter().enumerate() {
                    channel.post(Request::recv(near.clone(), room(1)).token(token as u64)).unwrap();
                }
                none_for(&channel, SOON);
                // (On either side of a word's end.)
                for token in [7, 63, 64, 79, 0] {
                    (&pairs[token].1).write_all(b"x").unwrap();
                    assert_eq!(channel.get_event().unwrap().token(), token as u64);
                    none_for(&channel, Duration::ZERO);
                }
                // A getter that sleeps, and is called.
                thread::scope(|scope| {
                    let getter = scope.spawn(|| channel.get_event().unwrap().token());
                    common::until_asleep(&channel);
                    channel.post(Request::notification().token(1000)).unwrap();
                    assert_eq!(getter.join().unwrap(), 1000);
                });
            }
        }
    }));
}

static WOKEN: AtomicUsize = AtomicUsize::new(0);

fn wake(_: usize) {
    WOKEN.fetch_add(1, Ordering::SeqCst);
}

/// An operation that stays for ever, as its owner would post it who knows of a registration.
fn submit<T: Operation>(
    channel: &EventChannel,
    what: T,
    registration: Option<&Registration>,
) -> (&'static Op<T>, OpId) {
    let op = Box::leak(Box::new(Op::new(what, wake, 0)));
    if let Some(registration) = registration {
        op.set_registration(registration);
    }
    WOKEN.store(0, Ordering::SeqCst);
    // SAFETY: it stays for ever, and so does what it points to; the caller keeps the descriptor open.
    let id = unsafe { channel.submit_raw(0, op.raw()) };
    (op, id)
}

fn until_woken(channel: &EventChannel) {
    while WOKEN.load(Ordering::SeqCst) == 0 {
        assert!(channel.get_event_timeout(SOON).unwrap().is_none());
    }
}

fn await_readable(fd: RawFd) -> Poll {
    Poll { fd, events: libc::POLLIN }
}

fn receive(fd: RawFd) -> Recv {
    Recv { fd, buf: Box::leak(Box::new([0u8; 8])).as_mut_ptr(), len: 8, flags: 0 }
}

#[test]
fn operations_on_what_is_registered_see_how_it_is() {
    went_well(in_child("operations_on_what_is_registered_see_how_it_is", || {
        for driver in drivers() {
            let channel = channel(driver);
            let (near, far) =
                (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
            near.connect(far.local_addr().unwrap()).unwrap();
            far.connect(near.local_addr().unwrap()).unwrap();
            let fd = near.as_raw_fd();
            // SAFETY: it is open as long as this is there.
            let registration = unsafe { channel.register(0, fd) };
            let _limit = Limit::of(0);
            let (first, _) = submit(&channel, await_readable(fd), registration.as_ref());
            none_for(&channel, SOON);
            far.send(b"x").unwrap();
            until_woken(&channel);
            assert_eq!(first.result(), libc::POLLIN.into());
            // It is so still, and nobody says so again.
            let (second, _) = submit(&channel, await_readable(fd), registration.as_ref());
            until_woken(&channel);
            assert_eq!(second.result(), libc::POLLIN.into());
            let (received, _) = submit(&channel, receive(fd), registration.as_ref());
            until_woken(&channel);
            assert_eq!(received.result(), 1);
            if driver == Driver::Poll {
                // (There nobody knows of the end of a datagram socket's input.)
                continue;
            }
            // Its end is told once: while somebody waits, and then it is known.
            let (waits, _) = submit(&channel, receive(fd), registration.as_ref());
            none_for(&channel, SOON);
            socket2::SockRef::from(&near).shutdown(std::net::Shutdown::Read).unwrap();
            until_woken(&channel);
            let (ends, _) = submit(&channel, receive(fd), registration.as_ref());
            until_woken(&channel);
            assert_eq!((waits.result(), ends.result()), (0, 0));
        }
    }));
}

/// One who leads for several ports waits for the descriptors of all.
#[test]
fn who_leads_for_two_ports_hears_of_both() {
    went_well(in_child("who_leads_for_two_ports_hears_of_both", || {
        for driver in drivers() {
            let channel = EventChannel::builder().driver(driver).ports(2).build().unwrap();
            let _limit = Limit::of(0);
            let timer: &'static mut Op<Timer> = Box::leak(Box::new(Op::new(Timer, wake, 0)));
            timer.set_deadline(Some(Instant::now() + 4 * SOON));
            WOKEN.store(0, Ordering::SeqCst);
            // SAFETY: it stays for ever.
            unsafe { channel.submit_raw(1, timer.raw()) };
            until_woken(&channel);
        }
    }));
}

/// Who only asks how a descriptor is gets an error where nobody says it; it is no error of an accept's or a connect's.
#[test]
fn without_an_answer_an_operation_fails_or_makes_its_call() {
    went_well(in_child("without_an_answer_an_operation_fails_or_makes_its_call", || {
        let (near, far) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        far.send_to(b"x", near.local_addr().unwrap()).unwrap();
        let on = drivers().into_iter().filter(|driver| *driver == Driver::Epoll);
        let Some(channel) = on.map(channel).next() else { return };
        // SAFETY: it stays open.
        let registered = unsafe { channel.register(0, near.as_raw_fd()) };
        let file = Arc::new(File::open("/proc/self/exe").unwrap());
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let to = listener.local_addr().unwrap();
        let calls = [
            libc::SYS_ppoll,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll,
        ];
        if !refuse(&calls, libc::ENOMEM) {
            return skipped("this machine does not allow seccomp filters");
        }
        // epoll does not watch a file.
        let event = at_once(&channel, Request::readiness(file, Interest::READABLE));
        assert_eq!(errno(&event), Some(libc::EPERM));
        channel.post(Request::accept(listener)).unwrap();
        channel.post(Request::connect(OwnedFd::from(common::fresh_socket()), to)).unwrap();
        for _ in 0..2 {
            channel.get_event().unwrap().result().unwrap();
        }
        // epoll has said that it is ready: whether it is still is asked of poll(2).
        let wait_for = |events| submit(&channel, Poll { fd: near.as_raw_fd(), events }, registered.as_ref());
        let (asks, _) = wait_for(libc::POLLIN);
        until_woken(&channel);
        assert_eq!(asks.result(), -libc::ENOMEM);
        let (given_up, id) = wait_for(libc::POLLPRI);
        none_for(&channel, SOON);
        // SAFETY: it is this test's.
        assert!(unsafe { channel.cancel_raw(id) });
        until_woken(&channel);
        assert_eq!(given_up.result(), -libc::ECANCELED);
    }));
}
