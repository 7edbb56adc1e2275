//! The wrappers in a process that may have no descriptor any more (`RLIMIT_NOFILE` is 0, and poll(2) is refused): what is open goes on, in
//! tasks, on each driver, and on plain threads.

mod net_common;

use ec_test_support::{in_child, limit_descriptors, went_well};
use ec_unkind as _;
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::time;
use net_common::each_runtime_of;
use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(5);
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// What its peers are to do, in a moment.
enum Peer {
    Send(&'static [u8]),
    SendTo(&'static [u8]),
    Close,
}

/// What is open before, and its peers, which are another thread's.
struct Open {
    listener: TcpListener,
    stream: TcpStream,
    socket: UdpSocket,
    peers: mpsc::Sender<Peer>,
    /// Its connection is to be accepted.
    _waits: TcpStream,
}

impl Open {
    fn new() -> Open {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let stream = TcpStream::connect(at).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let [socket, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        other.connect(socket.local_addr().unwrap()).unwrap();
        let (peers, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for what in asked {
                std::thread::sleep(SOON);
                match what {
                    Peer::Send(words) => far.write_all(words).unwrap(),
                    Peer::SendTo(words) => assert_eq!(other.send(words).unwrap(), words.len()),
                    Peer::Close => break,
                }
            }
        });
        Open { listener, stream, socket, peers, _waits: TcpStream::connect(at).unwrap() }
    }

    /// What each comes to, whoever waits.
    fn goes_on(&mut self) {
        let mut room = [0; 8];
        for words in [&b"one"[..], b"two"] {
            self.peers.send(Peer::Send(words)).unwrap();
            assert_eq!(self.stream.read(&mut room).unwrap(), 3);
            assert_eq!(&room[..3], words);
            self.peers.send(Peer::SendTo(words)).unwrap();
            assert_eq!(self.socket.recv(&mut room).unwrap(), 3);
            assert_eq!(&room[..3], words);
        }
        assert_eq!(self.stream.write(b"three").unwrap(), 5);
        let begun = Instant::now();
        let late = time::timeout(SOON, || self.stream.read(&mut room)).unwrap_err();
        assert!(late.kind() == ErrorKind::TimedOut && begun.elapsed() >= SOON);
        let accepted = self.listener.accept();
        assert_eq!(accepted.unwrap_err().raw_os_error(), Some(libc::EMFILE));
        self.peers.send(Peer::Close).unwrap();
        let ends = self.stream.read(&mut room);
        // (What it has not read is lost to it.)
        assert!(
            matches!(&ends, Ok(0)) || ends.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        );
        time::sleep(SOON);
    }
}

#[test]
fn tasks_go_on_with_what_is_open() {
    went_well(in_child("tasks_go_on_with_what_is_open", || {
        each_runtime_of(&[1], |runtime| {
            let mut open = Open::new();
            limit_descriptors(0);
            runtime.run(|| open.goes_on());
            limit_descriptors(256);
        });
    }));
}

#[test]
fn a_plain_thread_that_has_a_limit_goes_on_with_what_is_open() {
    went_well(in_child("a_plain_thread_that_has_a_limit_goes_on_with_what_is_open", || {
        let mut open = Open::new();
        limit_descriptors(0);
        time::timeout(LONG, || open.goes_on());
    }));
}
