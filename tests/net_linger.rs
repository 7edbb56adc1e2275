//! A close that lingers takes as long as close(2) says, whatever the runtime has in the kernel meanwhile.

mod net_common;

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::channel::{EventChannel, Request};
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::{Runtime, task};
use net_common::{each_runtime_at_once, eventually, until_waiting};
use socket2::SockRef;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const LINGER: Duration = Duration::from_secs(1);
/// The kernel counts in ticks of its clock.
const NEARLY: Duration = Duration::from_millis(900);

/// Sends more than the other end takes.
fn fill(stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[0; 100_000]).is_ok() {}
}

/// A connection of which one end has more to send than the other takes, and lingers.
fn full(linger: Duration) -> (TcpStream, TcpStream) {
    let (mut near, far) = net_common::pair();
    fill(&mut near);
    SockRef::from(&near).set_linger(Some(linger)).unwrap();
    (near, far)
}

fn closing(stream: TcpStream) -> Duration {
    let begin = Instant::now();
    drop(stream);
    begin.elapsed()
}

/// std's own socket, in a task of which the runtime has nothing in the kernel: that another thread takes the core meanwhile, and
/// sleeps in its port, cuts nothing short.
#[test]
fn std_s_close_in_a_task_lingers_while_its_core_is_handed_over() {
    limit(60, || {
        each_runtime_at_once(|runtime| {
            let spent = runtime.run(|| {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let mut near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let _far = listener.accept().unwrap();
                near.set_nonblocking(true).unwrap();
                while near.write(&[0; 100_000]).is_ok() {}
                SockRef::from(&near).set_linger(Some(LINGER)).unwrap();
                let begin = Instant::now();
                drop(near);
                begin.elapsed()
            });
            if linux_before(6, 13) {
                return skipped("before Linux 6.13 the port's bell cuts it short");
            }
            assert!(spent > NEARLY, "{spent:?}");
        });
    });
}

fn linux_before(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (major, minor)
}

/// Requests of the runtime's complete all the time, as long as this lives.
struct Traffic {
    stop: Arc<AtomicBool>,
    sender: Option<thread::JoinHandle<()>>,
}

impl Traffic {
    /// Of tasks that receive in `runtime`.
    fn of(runtime: &Runtime) -> Traffic {
        let sockets: Vec<_> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let to = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        for socket in sockets {
            // A datagram of no length is the last.
            drop(runtime.spawn(move || while socket.recv(&mut [0; 8]).is_ok_and(|len| len > 0) {}));
        }
        eventually(|| runtime.dump().to_string().matches("recv").count() == 8);
        Traffic::to(to)
    }

    fn to(addrs: Vec<std::net::SocketAddr>) -> Traffic {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let sender = thread::spawn(move || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            while !stopped.load(Ordering::Relaxed) {
                for to in &addrs {
                    socket.send_to(b"x", to).unwrap();
                    thread::sleep(Duration::from_millis(1));
                }
            }
            addrs.iter().for_each(|to| _ = socket.send_to(b"", to).unwrap());
        });
        Traffic { stop, sender: Some(sender) }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.take().unwrap().join().unwrap();
    }
}

/// On each runtime, whose requests complete all the time: what `close` measures is the time for which the socket lingers.
fn lingers(close: impl Fn(&Runtime) -> Duration + Sync) {
    limit(120, || {
        each_runtime_at_once(|runtime| {
            let _traffic = Traffic::of(runtime);
            let took = close(runtime);
            assert!(took >= NEARLY, "{took:?}");
        });
    });
}

#[test]
fn a_task_that_closes_waits_as_long_as_the_socket_lingers() {
    lingers(|runtime| {
        let (near, _far) = full(LINGER);
        runtime.run(|| closing(near))
    });
}

#[test]
fn a_socket_lingers_as_the_listener_that_it_comes_from() {
    lingers(|runtime| {
        runtime.run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            SockRef::from(&listener).set_linger(Some(LINGER)).unwrap();
            let _far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut near, _) = listener.accept().unwrap();
            fill(&mut near);
            closing(near)
        })
    });
}

#[test]
fn a_handle_lingers_as_another_one_of_the_same_socket_was_told() {
    lingers(|runtime| {
        let (near, _far) = net_common::pair();
        let mut other = near.try_clone().unwrap();
        fill(&mut other);
        SockRef::from(&near).set_linger(Some(LINGER)).unwrap();
        // (Not the last one, but it does not know that.)
        drop(near);
        runtime.run(|| closing(other))
    });
}

#[test]
fn a_handler_that_closes_waits_as_long() {
    lingers(|runtime| {
        let (near, _far) = full(LINGER);
        let (tell, told) = mpsc::channel();
        let near = Mutex::new(Some(near));
        let close = Request::timer(Duration::ZERO).on_complete(move |_, _| {
            let near = near.lock().unwrap().take().unwrap();
            tell.send(closing(near)).unwrap();
        });
        runtime.channel().post(close).unwrap();
        told.recv().unwrap()
    });
}

/// Its own requests are in flight, and complete while it closes.
#[test]
fn a_thread_that_drives_a_channel_waits_as_long() {
    limit(60, || {
        let channel = EventChannel::builder().build().unwrap();
        let sockets: Vec<_> = (0..8).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let to = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        for socket in sockets {
            channel.post(Request::recv(socket, Vec::with_capacity(8))).unwrap();
        }
        assert!(channel.try_get_event().unwrap().is_none());
        let (near, _far) = full(LINGER);
        let _traffic = Traffic::to(to);
        let took = closing(near);
        assert!(took >= NEARLY, "{took:?}");
    });
}

#[test]
fn a_cancel_does_not_end_the_close() {
    limit(120, || {
        each_runtime_at_once(|runtime| {
            let (near, _far) = full(LINGER);
            let closes = runtime.spawn(move || closing(near));
            until_waiting(runtime, "lingers");
            closes.cancel();
            let took = closes.join().unwrap();
            assert!(took >= NEARLY, "{took:?}");
        });
    });
}

#[test]
fn the_close_ends_when_the_peer_has_all_and_others_run_meanwhile() {
    limit(60, || {
        each_runtime_at_once(|runtime| {
            let (near, mut far) = full(Duration::from_secs(600));
            let closes = runtime.spawn(move || drop(near));
            until_waiting(runtime, "lingers");
            // On one core this runs only because the closer is suspended.
            let reads = runtime.spawn(move || while far.read(&mut [0; 65536]).unwrap() > 0 {});
            closes.join().unwrap();
            reads.join().unwrap();
        });
    });
}

#[test]
fn a_close_while_unwinding_lingers() {
    limit(120, || {
        each_runtime_at_once(|runtime| {
            let (near, _far) = full(LINGER);
            let begin = Instant::now();
            let closes = runtime.spawn(move || {
                let _near = near;
                panic!("as meant: with a socket that lingers");
            });
            assert!(closes.join().is_err());
            assert!(begin.elapsed() >= NEARLY);
            assert_eq!(runtime.run(|| task::spawn(|| 7).join().unwrap()), 7);
        });
    });
}
