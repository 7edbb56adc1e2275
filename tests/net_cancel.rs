//! Cancelling a task that waits in a socket call: delivered once, and never at the cost of bytes.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::{Cancelled, Runtime, task, time};
use net_common::{Numbers, each_run, each_runtime, pair, pattern, until_waiting};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Starts `f` in a task, cancels it once it waits in `what`, and returns what it returned.
fn cancelled_in<T: Send + 'static>(
    runtime: &Runtime,
    what: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> T {
    let waiting = runtime.spawn(f);
    until_waiting(runtime, what);
    waiting.cancel();
    waiting.join().unwrap()
}

fn assert_cancelled<T>(result: io::Result<T>) {
    let error = result.map(drop).expect_err("the call should have been cancelled");
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(Cancelled::is(&error), "{error}");
}

#[test]
fn a_waiting_recv_is_cancelled_once_and_the_stream_goes_on() {
    limit(30, || {
        each_runtime(|runtime| {
            let (mut near, mut far) = pair();
            cancelled_in(runtime, "recv: descriptor", move || {
                assert_cancelled(far.read(&mut [0; 8]));
                assert!(task::is_cancelled());
                near.write_all(b"still here").unwrap();
                let mut buf = [0; 10];
                far.read_exact(&mut buf).unwrap();
                assert_eq!(&buf, b"still here");
            });
        });
    });
}

#[test]
fn a_waiting_recv_from_is_cancelled_once() {
    limit(30, || {
        each_runtime(|runtime| {
            cancelled_in(runtime, "recv_from: descriptor", || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                assert_cancelled(socket.recv_from(&mut [0; 8]));
                socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
                assert_eq!(socket.recv_from(&mut [0; 8]).unwrap().0, 1);
            });
        });
    });
}

#[test]
fn a_waiting_accept_is_cancelled_once() {
    limit(30, || {
        each_runtime(|runtime| {
            cancelled_in(runtime, "accept: descriptor", || {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                assert_cancelled(listener.accept());
                let _near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                listener.accept().unwrap();
            });
        });
    });
}

#[test]
fn incoming_ends_when_its_task_is_cancelled() {
    limit(30, || {
        each_runtime(|runtime| {
            cancelled_in(runtime, "accept: descriptor", || {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut incoming = listener.incoming();
                assert!(incoming.by_ref().next().is_none());
                assert!(incoming.next().is_none(), "it has ended");
            });
        });
    });
}

#[test]
fn a_waiting_send_reports_what_has_gone_and_is_cancelled_by_the_next_call() {
    limit(30, || {
        each_runtime(|runtime| {
            let (mut near, mut far) = pair();
            let sent = cancelled_in(runtime, "send: descriptor", move || {
                let n = near.write(&pattern(16 << 20)).unwrap();
                assert!(n > 0 && n < 16 << 20, "{n}");
                assert_cancelled(near.write(b"x"));
                n
            });
            let mut got = Vec::new();
            runtime.run(|| far.read_to_end(&mut got)).unwrap();
            assert_eq!(got.len(), sent);
            assert!(got == pattern(16 << 20)[..sent], "the bytes differ");
        });
    });
}

/// A listener with a full queue, which lets further connects wait, and what fills it.
fn unanswering() -> (socket2::Socket, Vec<socket2::Socket>) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    loop {
        // What counts is whether it is connected after a while, not whether that was seen in time.
        let stream = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        stream.set_nonblocking(true).unwrap();
        let _ = stream.connect(&addr);
        std::thread::sleep(Duration::from_millis(200));
        if stream.peer_addr().is_err() {
            return (listener, fill);
        }
        fill.push(stream);
    }
}

#[test]
fn a_waiting_connect_is_cancelled_and_tries_no_further_address() {
    limit(60, || {
        let (listener, _fill) = unanswering();
        let silent = listener.local_addr().unwrap().as_socket().unwrap();
        each_runtime(|runtime| {
            cancelled_in(runtime, "connect: descriptor", move || {
                let good = TcpListener::bind("127.0.0.1:0").unwrap();
                let addrs = [silent, good.local_addr().unwrap()];
                assert_cancelled(TcpStream::connect(&addrs[..]));
                TcpStream::connect(addrs[1]).unwrap();
            });
        });
    });
}

#[test]
fn connects_to_a_silent_peer_end_in_time() {
    limit(60, || {
        let (listener, _fill) = unanswering();
        let silent = listener.local_addr().unwrap().as_socket().unwrap();
        let check = || {
            let error = TcpStream::connect_timeout(&silent, Duration::from_millis(50)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            let error = time::timeout(Duration::from_millis(50), || TcpStream::connect(silent)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        };
        check();
        each_run(check);
    });
}

#[test]
fn a_cancel_before_the_call_is_delivered_on_entry_and_data_waits() {
    limit(30, || {
        each_runtime(|runtime| {
            let (mut near, mut far) = pair();
            near.write_all(b"data").unwrap();
            let (go, ready) = std::sync::mpsc::channel::<()>();
            let waiting = runtime.spawn(move || {
                // A wait that cannot fail and is no cancellation point.
                while ready.try_recv().is_err() {
                    time::sleep(Duration::from_millis(1));
                }
                assert_cancelled(far.read(&mut [0; 8]));
                let mut buf = [0; 4];
                far.read_exact(&mut buf).unwrap();
                assert_eq!(&buf, b"data");
            });
            waiting.cancel();
            go.send(()).unwrap();
            waiting.join().unwrap();
        });
    });
}

/// The heart of it: bytes arrive and cancels come at any moment; what is read is what was sent.
#[test]
fn a_cancelled_receive_never_swallows_bytes() {
    limit(120, || {
        each_runtime(|runtime| {
            const TOTAL: usize = 300_000;
            let (mut near, mut far) = pair();
            let sent = pattern(TOTAL);
            let expected = sent.clone();
            let cancels = Arc::new(AtomicUsize::new(0));
            let (counted, seen) = (cancels.clone(), cancels.clone());
            let reader = runtime.spawn(move || {
                let mut got = Vec::new();
                let mut buf = [0; 1000];
                let mut numbers = Numbers(1);
                loop {
                    let room = 1 + numbers.below(1000) as usize;
                    match far.read(&mut buf[..room]) {
                        Ok(0) => return got,
                        Ok(n) => got.extend_from_slice(&buf[..n]),
                        Err(error) if Cancelled::is(&error) => {
                            counted.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            });
            let writer = runtime.spawn(move || {
                let mut numbers = Numbers(2);
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let (head, tail) = rest.split_at(rest.len().min(1 + numbers.below(700) as usize));
                    near.write_all(head).unwrap();
                    rest = tail;
                    match numbers.below(20) {
                        0 => time::sleep(Duration::from_micros(numbers.below(300))),
                        1..8 => task::yield_now(),
                        _ => (),
                    }
                    // However busy the machine is: 20 cancels are spread over the whole.
                    while seen.load(Ordering::SeqCst) * TOTAL < 20 * (TOTAL - rest.len()) {
                        time::sleep(Duration::from_micros(100));
                    }
                }
            });
            let mut numbers = Numbers(3);
            while !writer.is_finished() {
                reader.cancel();
                for _ in 0..numbers.below(2000) {
                    std::hint::spin_loop();
                }
            }
            writer.join().unwrap();
            let got = reader.join().unwrap();
            assert!(cancels.load(Ordering::SeqCst) >= 20);
            assert_eq!(got.len(), TOTAL);
            assert!(got == expected, "the bytes differ");
        });
    });
}

/// The same for deadlines: each read has one, of a length about the time that data takes to come.
#[test]
fn a_receive_whose_time_is_over_never_swallows_bytes() {
    limit(120, || {
        each_run(|| {
            const TOTAL: usize = 60_000;
            let (near, mut far) = pair();
            let sent = pattern(TOTAL);
            let expected = sent.clone();
            let late = Arc::new(AtomicUsize::new(0));
            let seen = late.clone();
            let writer = task::spawn(move || {
                let mut numbers = Numbers(4);
                for (n, part) in sent.chunks(97).enumerate() {
                    (&near).write_all(part).unwrap();
                    time::sleep(Duration::from_micros(numbers.below(400)));
                    // However the machine deals out its time: one deadline for each 30 parts at least.
                    while seen.load(Ordering::SeqCst) < n / 30 {
                        time::sleep(Duration::from_micros(100));
                    }
                }
            });
            let (mut got, mut numbers) = (Vec::new(), Numbers(5));
            let mut buf = [0; 64];
            loop {
                let span = Duration::from_micros(numbers.below(500));
                match time::timeout(span, || far.read(&mut buf)) {
                    Ok(0) => break,
                    Ok(n) => got.extend_from_slice(&buf[..n]),
                    Err(error) if error.kind() == ErrorKind::TimedOut => {
                        late.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            writer.join().unwrap();
            assert!(late.load(Ordering::SeqCst) > 10);
            assert!(got == expected, "{} of {TOTAL} bytes, or others", got.len());
        });
    });
}

#[test]
fn an_accept_that_is_cancelled_loses_no_connection() {
    limit(60, || {
        each_runtime(|runtime| {
            const CLIENTS: usize = 200;
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = runtime.spawn(move || {
                let mut count = 0;
                while count < CLIENTS {
                    match listener.accept() {
                        Ok((mut stream, _)) => {
                            // The cancel that the accept has outrun comes here, and nothing is sent then.
                            while let Err(error) = stream.write_all(b"!") {
                                assert!(Cancelled::is(&error), "{error}");
                            }
                            count += 1;
                        }
                        Err(error) => assert!(Cancelled::is(&error), "{error}"),
                    }
                }
            });
            let clients = runtime.spawn(move || {
                for _ in 0..CLIENTS {
                    let mut stream = TcpStream::connect(addr).unwrap();
                    // A connection that was accepted and dropped unseen would not be greeted.
                    stream.read_exact(&mut [0]).unwrap();
                }
            });
            let mut numbers = Numbers(6);
            while !clients.is_finished() {
                server.cancel();
                for _ in 0..numbers.below(3000) {
                    std::hint::spin_loop();
                }
            }
            clients.join().unwrap();
            server.join().unwrap();
        });
    });
}
