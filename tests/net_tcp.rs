//! TCP from tasks: bytes both ways, ends and errors of connections.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::{Shutdown, TcpListener, TcpStream};
use event_channel::time::{Duration, sleep, timeout};
use event_channel::{Cancelled, task};
use net_common::{each_run, each_runtime, nobody, pair, pattern, until_waiting};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsFd;

/// Sends back what comes until the end, then ends too.
fn echo(mut stream: TcpStream) {
    let mut buf = [0; 4096];
    loop {
        match stream.read(&mut buf).unwrap() {
            0 => return,
            n => stream.write_all(&buf[..n]).unwrap(),
        }
    }
}

#[test]
fn a_server_echoes_to_many_clients_at_once() {
    limit(60, || {
        each_run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = task::spawn(move || {
                let connections: Vec<_> = (0..50)
                    .map(|_| {
                        let (stream, _) = listener.accept().unwrap();
                        task::spawn(move || echo(stream))
                    })
                    .collect();
                connections.into_iter().for_each(|connection| connection.join().unwrap());
            });
            let clients: Vec<_> = (0..50)
                .map(|client: usize| {
                    task::spawn(move || {
                        let mut stream = TcpStream::connect(addr).unwrap();
                        for round in 0..20 {
                            let sent = pattern(1 + client * 7 + round * 131);
                            stream.write_all(&sent).unwrap();
                            let mut back = vec![0; sent.len()];
                            stream.read_exact(&mut back).unwrap();
                            assert_eq!(back, sent);
                        }
                    })
                })
                .collect();
            clients.into_iter().for_each(|client| client.join().unwrap());
            server.join().unwrap();
        });
    });
}

#[test]
fn eight_megabytes_pass_unharmed_through_one_write() {
    limit(60, || {
        each_run(|| {
            let (near, far) = pair();
            let sent = pattern(8 << 20);
            let copy = sent.clone();
            // std's blocking write takes it all at once, and so does this.
            let writer = task::spawn(move || (&near).write(&copy).unwrap());
            let mut got = Vec::new();
            (&far).read_to_end(&mut got).unwrap();
            assert_eq!(writer.join().unwrap(), 8 << 20);
            assert!(got == sent, "the bytes differ");
        });
    });
}

#[test]
fn a_vectored_write_takes_all_slices_even_beyond_the_socket_buffer() {
    limit(60, || {
        each_run(|| {
            let (near, far) = pair();
            let sent = pattern(6 << 20);
            let copy = sent.clone();
            let writer = task::spawn(move || {
                // More slices than one system call is given, of uneven lengths, some of them empty.
                let mut slices = Vec::new();
                let mut rest = &copy[..];
                let mut len = 0;
                while !rest.is_empty() {
                    let (head, tail) = rest.split_at(len.min(rest.len()));
                    slices.push(IoSlice::new(head));
                    rest = tail;
                    len = (len * 5 + 1001) % 65_537;
                }
                assert!(slices.len() > 150);
                (&near).write_vectored(&slices).unwrap()
            });
            let mut got = Vec::new();
            let (mut a, mut b) = (vec![0; 1000], vec![0; 9000]);
            loop {
                let n =
                    (&far).read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]).unwrap();
                if n == 0 {
                    break;
                }
                got.extend_from_slice(&a[..n.min(1000)]);
                got.extend_from_slice(&b[..n.saturating_sub(1000)]);
            }
            assert_eq!(writer.join().unwrap(), 6 << 20);
            assert!(got == sent, "the bytes differ");
        });
    });
}

#[test]
fn after_a_half_close_the_other_half_still_works() {
    limit(30, || {
        each_run(|| {
            let (mut near, far) = pair();
            let server = task::spawn(move || echo(far));
            near.write_all(b"to the end").unwrap();
            near.shutdown(Shutdown::Write).unwrap();
            let mut back = String::new();
            near.read_to_string(&mut back).unwrap();
            assert_eq!(back, "to the end");
            server.join().unwrap();
        });
    });
}

#[test]
fn a_reset_connection_fails_the_read_that_waits() {
    limit(30, || {
        each_runtime(|runtime| {
            let (near, mut far) = pair();
            let reader = runtime.spawn(move || far.read(&mut [0; 8]).unwrap_err().kind());
            until_waiting(runtime, "recv: descriptor");
            // With no time to linger a close resets.
            socket2::SockRef::from(&near.as_fd()).set_linger(Some(Duration::ZERO)).unwrap();
            drop(near);
            assert_eq!(reader.join().unwrap(), ErrorKind::ConnectionReset);
        });
    });
}

#[test]
fn a_shutdown_by_another_handle_ends_the_read_that_waits() {
    limit(30, || {
        each_runtime(|runtime| {
            let (near, _far) = pair();
            let mut clone = near.try_clone().unwrap();
            let reader = runtime.spawn(move || clone.read(&mut [0; 8]).unwrap());
            until_waiting(runtime, "recv: descriptor");
            near.shutdown(Shutdown::Both).unwrap();
            assert_eq!(reader.join().unwrap(), 0);
        });
    });
}

#[test]
fn one_task_reads_and_another_writes_the_same_stream() {
    limit(30, || {
        each_runtime(|runtime| {
            let (near, far) = pair();
            let near = std::sync::Arc::new(near);
            let reader = {
                let near = near.clone();
                runtime.spawn(move || {
                    let mut buf = [0; 4];
                    (&*near).read_exact(&mut buf).unwrap();
                    buf
                })
            };
            until_waiting(runtime, "recv: descriptor");
            let writer = runtime.spawn(move || (&*near).write_all(b"ping").unwrap());
            let echo = runtime.spawn(move || {
                let mut buf = [0; 4];
                (&far).read_exact(&mut buf).unwrap();
                (&far).write_all(&buf).unwrap();
            });
            assert_eq!(&reader.join().unwrap(), b"ping");
            writer.join().unwrap();
            echo.join().unwrap();
        });
    });
}

#[test]
fn a_peek_waits_and_leaves_the_bytes() {
    limit(30, || {
        each_runtime(|runtime| {
            let (near, far) = pair();
            let peeker = runtime.spawn(move || {
                let mut buf = [0; 8];
                let n = far.peek(&mut buf).unwrap();
                assert_eq!(&buf[..n], b"seen");
                let n = (&far).read(&mut buf).unwrap();
                assert_eq!(&buf[..n], b"seen");
            });
            until_waiting(runtime, "recv: descriptor");
            (&near).write_all(b"seen").unwrap();
            peeker.join().unwrap();
        });
    });
}

#[test]
fn connect_tries_one_address_after_the_other() {
    limit(30, || {
        each_run(|| {
            let (nobody, _held) = nobody();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let stream = TcpStream::connect(&[nobody, addr][..]).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), addr);
            let error = TcpStream::connect(&[nobody, nobody][..]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        });
    });
}

#[test]
fn a_task_that_never_has_to_wait_leaves_the_core_to_others_all_the_same() {
    limit(30, || {
        each_runtime(|runtime| {
            let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let seen = stop.clone();
            let busy = runtime.spawn(move || {
                let socket = event_channel::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                let to = socket.local_addr().unwrap();
                while !seen.load(std::sync::atomic::Ordering::Relaxed) {
                    socket.send_to(b"x", to).unwrap();
                }
            });
            let other = runtime.spawn(move || stop.store(true, std::sync::atomic::Ordering::Relaxed));
            other.join().unwrap();
            busy.join().unwrap();
        });
    });
}

#[test]
fn a_thread_and_a_task_share_a_connection() {
    limit(30, || {
        each_runtime(|runtime| {
            let (near, mut far) = pair();
            let mut clone = near.try_clone().unwrap();
            let task = runtime.spawn(move || {
                let mut buf = [0; 4];
                clone.read_exact(&mut buf).unwrap();
                clone.write_all(&buf).unwrap();
            });
            far.write_all(b"ping").unwrap();
            let mut buf = [0; 4];
            far.read_exact(&mut buf).unwrap();
            assert_eq!(&buf, b"ping");
            task.join().unwrap();
            drop(near);
        });
    });
}

#[test]
fn a_dedicated_task_waits_as_the_others_do() {
    limit(30, || {
        each_runtime(|runtime| {
            let (near, mut far) = pair();
            let (tell, told) = std::sync::mpsc::channel();
            let task = runtime.spawn_with(task::Builder::new().dedicated(), move || {
                far.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
                assert_eq!(far.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
                far.set_read_timeout(None).unwrap();
                let late = timeout(Duration::from_millis(5), || far.read(&mut [0])).unwrap_err();
                assert_eq!(late.kind(), ErrorKind::TimedOut);
                tell.send("about to wait").unwrap();
                assert!(Cancelled::is(&far.read(&mut [0]).unwrap_err()));
                tell.send("cancelled").unwrap();
                sleep(Duration::from_millis(1));
                echo(far);
            });
            let task = task.unwrap();
            told.recv().unwrap();
            until_waiting(runtime, "recv: descriptor");
            task.cancel();
            assert_eq!(told.recv().unwrap(), "cancelled");
            (&near).write_all(b"echo").unwrap();
            let mut buf = [0; 4];
            (&near).read_exact(&mut buf).unwrap();
            assert_eq!(&buf, b"echo");
            drop(near);
            task.join().unwrap();
        });
    });
}

/// A write that has sent something returns that. The error that stopped it is the next call's, whichever that is.
#[test]
fn the_error_that_cut_a_write_short_is_the_next_calls() {
    limit(60, || {
        each_run(|| {
            for next in ["read", "write", "take_error"] {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let addr = listener.local_addr().unwrap();
                let peer = std::thread::spawn(move || {
                    let peer = std::net::TcpStream::connect(addr).unwrap();
                    // Until there is something that it has not read: then the kernel resets the connection.
                    peer.peek(&mut [0]).unwrap();
                });
                let (mut stream, _) = listener.accept().unwrap();
                let sent = stream.write(&vec![0; 64 << 20]).unwrap();
                peer.join().unwrap();
                assert!(sent < 64 << 20);
                let kind = match next {
                    "read" => stream.read(&mut [0]).unwrap_err().kind(),
                    "write" => stream.write(&[0]).unwrap_err().kind(),
                    _ => stream.take_error().unwrap().unwrap().kind(),
                };
                assert_eq!(kind, ErrorKind::ConnectionReset, "{next}");
                assert!(stream.take_error().unwrap().is_none(), "once");
            }
        });
    });
}
