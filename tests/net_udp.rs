//! UDP from tasks.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::UdpSocket;
use event_channel::task;
use net_common::{each_run, each_runtime, pattern, until_waiting};
use std::io::ErrorKind;

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn datagrams_keep_their_bounds_and_senders() {
    limit(30, || {
        each_run(|| {
            let server = socket();
            let to = server.local_addr().unwrap();
            let echo = task::spawn(move || {
                let mut buf = vec![0; 70_000];
                for _ in 0..10 * 30 {
                    let (n, from) = server.recv_from(&mut buf).unwrap();
                    assert_eq!(server.send_to(&buf[..n], from).unwrap(), n);
                }
            });
            let clients: Vec<_> = (0..10)
                .map(|client: usize| {
                    task::spawn(move || {
                        let socket = socket();
                        let mut buf = vec![0; 70_000];
                        for round in 0..30 {
                            // All in flight together fit the receive buffer: UDP may drop what does not.
                            let sent = pattern(client * 100 + round * round * 4);
                            socket.send_to(&sent, to).unwrap();
                            let (n, from) = socket.recv_from(&mut buf).unwrap();
                            assert_eq!((&buf[..n], from), (&sent[..], to));
                        }
                    })
                })
                .collect();
            clients.into_iter().for_each(|client| client.join().unwrap());
            echo.join().unwrap();
        });
    });
}

#[test]
fn the_largest_and_the_smallest_datagram_pass() {
    limit(30, || {
        each_run(|| {
            let (near, far) = (socket(), socket());
            let mut buf = vec![0; 70_000];
            for len in [65_507, 0] {
                near.send_to(&pattern(len), far.local_addr().unwrap()).unwrap();
                assert_eq!(far.recv(&mut buf).unwrap(), len);
                assert!(buf[..len] == pattern(len));
            }
            let too_long = near.send_to(&pattern(65_508), far.local_addr().unwrap()).unwrap_err();
            assert_eq!(too_long.raw_os_error(), Some(libc::EMSGSIZE));
        });
    });
}

#[test]
fn a_datagram_longer_than_the_buffer_is_cut_off_also_by_one_who_waits() {
    limit(30, || {
        each_runtime(|runtime| {
            let receiver = socket();
            let to = receiver.local_addr().unwrap();
            let waiting = runtime.spawn(move || {
                let mut buf = [0; 4];
                let (n, _) = receiver.recv_from(&mut buf).unwrap();
                assert_eq!((n, &buf), (4, b"0123"));
                assert_eq!(receiver.recv(&mut buf).unwrap(), 4, "the next datagram, not the rest");
                assert_eq!(&buf, b"abcd");
            });
            until_waiting(runtime, "recv_from: descriptor");
            let sender = socket();
            sender.send_to(b"0123456789", to).unwrap();
            sender.send_to(b"abcdefghij", to).unwrap();
            waiting.join().unwrap();
        });
    });
}

#[test]
fn a_peek_waits_and_leaves_the_datagram() {
    limit(30, || {
        each_runtime(|runtime| {
            let receiver = socket();
            let to = receiver.local_addr().unwrap();
            let sender = socket();
            let from = sender.local_addr().unwrap();
            let waiting = runtime.spawn(move || {
                let mut buf = [0; 8];
                assert_eq!(receiver.peek_from(&mut buf).unwrap(), (4, from));
                assert_eq!(receiver.recv_from(&mut buf).unwrap(), (4, from));
            });
            until_waiting(runtime, "recv_from: descriptor");
            sender.send_to(b"once", to).unwrap();
            waiting.join().unwrap();
        });
    });
}

#[test]
fn a_refused_datagram_fails_the_receive_that_waits() {
    limit(30, || {
        each_run(|| {
            // Has its port to itself, and takes nothing but from itself.
            let nobody = socket();
            nobody.connect(nobody.local_addr().unwrap()).unwrap();
            let socket = socket();
            socket.connect(nobody.local_addr().unwrap()).unwrap();
            socket.send(b"anyone?").unwrap();
            assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        });
    });
}
