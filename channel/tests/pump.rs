//! A pump: all that comes goes on, from each sort of end to each other one.

mod common;
#[path = "common/ends.rs"]
#[allow(dead_code, reason = "not every test file uses all of it")]
mod ends;

use common::each_driver;
use ec_channel::{Request, Source};
use ec_test_support::limit;
use ends::{SORTS, Sort, each_driver_of_all, numbers, tcp};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

#[test]
fn each_end_is_pumped_to_each_other() {
    const BYTES: usize = 400_000;
    let content = numbers(BYTES);
    limit(120, || {
        each_driver_of_all(|channel| {
            for (from, to) in SORTS.iter().flat_map(|from| SORTS.iter().map(move |to| (*from, *to))) {
                let ((input, writer), (reader, output)) = (from.ends(), to.ends());
                let (mut writer, reader) = (File::from(writer), File::from(reader));
                let event = thread::scope(|s| {
                    let writes = || {
                        writer.write_all(&content).unwrap();
                        match from {
                            Sort::File => writer.rewind().unwrap(),
                            _ => drop(writer),
                        }
                    };
                    match from {
                        Sort::File => writes(),
                        _ => drop(s.spawn(writes)),
                    }
                    let reads = s.spawn(|| {
                        let mut came = vec![0; BYTES];
                        if !matches!(to, Sort::File) {
                            (&reader).read_exact(&mut came).unwrap();
                        }
                        came
                    });
                    channel.post(Request::pump(from.of_pump(input), to.of_pump(output))).unwrap();
                    let event = channel.get_event().unwrap();
                    let mut came = reads.join().unwrap();
                    if let Sort::File = to {
                        (&reader).rewind().unwrap();
                        (&reader).read_exact(&mut came).unwrap();
                    }
                    assert!(came == content, "{from:?} to {to:?} on {}", channel.driver().kind());
                    event
                });
                assert_eq!(event.failure(), None, "{from:?} to {to:?}");
                assert_eq!((event.pumped(), event.result().unwrap()), (BYTES as u64, BYTES));
                assert_eq!(event.buffer(), b"");
            }
        })
    });
}

/// A server that throws all away, and one that sends all back.
#[test]
fn discard_and_echo() {
    let content = numbers(300_000);
    limit(60, || {
        each_driver_of_all(|channel| {
            for mode in [false, true] {
                let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
                let to = listener.local_addr().unwrap();
                thread::scope(|s| {
                    s.spawn(|| {
                        let mut discarded = TcpStream::connect(to).unwrap();
                        discarded.write_all(&content).unwrap();
                        discarded.shutdown(Shutdown::Write).unwrap();
                        // (Until the server has had enough.)
                        assert_eq!(discarded.read(&mut [0]).unwrap(), 0);
                        let mut echoed = TcpStream::connect(to).unwrap();
                        let mut writer = echoed.try_clone().unwrap();
                        s.spawn(|| {
                            writer.write_all(&content).unwrap();
                            writer.shutdown(Shutdown::Write).unwrap();
                            drop(writer);
                        });
                        let mut came = Vec::new();
                        echoed.read_to_end(&mut came).unwrap();
                        assert!(came == content);
                    });
                    for is_echo in [false, true] {
                        channel.post(Request::accept(listener.clone())).unwrap();
                        let accepted = channel.get_event().unwrap().take_accepted().unwrap();
                        ec_channel::set_nonblocking(accepted.as_fd(), mode).unwrap();
                        let accepted = Source::from(accepted);
                        let null = File::options().write(true).open("/dev/null").unwrap();
                        let to = if is_echo { accepted.clone() } else { Source::from(null) };
                        channel.post(Request::pump(accepted, to).relay_end()).unwrap();
                        let event = channel.get_event().unwrap();
                        assert_eq!((event.failure(), event.pumped()), (None, content.len() as u64));
                    }
                });
            }
        })
    });
}

/// A datagram without a byte is the end of the input, in either mode; what comes after it stays.
#[test]
fn an_empty_datagram_is_the_end() {
    limit(30, || {
        each_driver_of_all(|channel| {
            for mode in [false, true] {
                let from = UdpSocket::bind("127.0.0.1:0").unwrap();
                let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
                sender.connect(from.local_addr().unwrap()).unwrap();
                from.connect(sender.local_addr().unwrap()).unwrap();
                from.set_nonblocking(mode).unwrap();
                for datagram in ["one", "", "two"] {
                    sender.send(datagram.as_bytes()).unwrap();
                }
                let ((mut reader, writer), from) = (std::io::pipe().unwrap(), Arc::new(from));
                channel.post(Request::pump(from.clone(), writer)).unwrap();
                let event = channel.get_event().unwrap();
                assert_eq!((event.failure(), event.pumped()), (None, 3));
                drop(event);
                assert_eq!(std::io::read_to_string(&mut reader).unwrap(), "one");
                assert_eq!(from.recv(&mut [0; 8]).unwrap(), 3);
            }
        })
    });
}

/// As a proxy does.
#[test]
fn both_directions_go_side_by_side() {
    let content = numbers(2_000_000);
    limit(60, || {
        each_driver(|channel| {
            for mode in [false, true] {
                let ((client, near), (far, server)) = (tcp(), UnixStream::pair().unwrap());
                near.set_nonblocking(mode).unwrap();
                far.set_nonblocking(mode).unwrap();
                let (near, far) = (Source::from(near), Source::from(far));
                channel.post(Request::pump(near.clone(), far.clone()).relay_end().token(1)).unwrap();
                channel.post(Request::pump(far, near).relay_end().token(2)).unwrap();
                thread::scope(|s| {
                    s.spawn(|| (&client).write_all(&content).and_then(|()| client.shutdown(Shutdown::Write)));
                    s.spawn(|| (&server).write_all(&content).and_then(|()| server.shutdown(Shutdown::Write)));
                    let all = |mut it: Box<dyn Read + Send>| {
                        let mut came = Vec::new();
                        it.read_to_end(&mut came).unwrap();
                        assert!(came == content);
                    };
                    let readers: [Box<dyn Read + Send>; 2] =
                        [Box::new(client.try_clone().unwrap()), Box::new(server.try_clone().unwrap())];
                    for reader in readers {
                        s.spawn(move || all(reader));
                    }
                    let mut tokens = [0; 2].map(|_| {
                        let event = channel.get_event().unwrap();
                        assert_eq!((event.failure(), event.pumped()), (None, content.len() as u64));
                        event.token()
                    });
                    tokens.sort();
                    assert_eq!(tokens, [1, 2]);
                });
            }
        })
    });
}

/// Who waits for a descriptor on behalf of a thread that has exited waits on.
#[test]
fn a_pump_goes_on_although_whoever_posted_it_exits() {
    limit(60, || {
        each_driver(|channel| {
            for _ in 0..200 {
                let ((near, mut far), (next, mut last)) =
                    (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
                thread::scope(|s| {
                    s.spawn(|| {
                        channel.post(Request::pump(near, next)).unwrap();
                        assert!(channel.try_get_event().unwrap().is_none());
                    });
                });
                far.write_all(b"x").unwrap();
                drop(far);
                let event = channel.get_event().unwrap();
                assert_eq!((event.failure(), event.pumped()), (None, 1));
                drop(event);
                let mut came = Vec::new();
                last.read_to_end(&mut came).unwrap();
                assert_eq!(came, b"x");
            }
        })
    });
}

/// Also what is in non-blocking mode.
#[test]
fn what_knows_no_splice_is_read_and_written() {
    let counter = |value| {
        // SAFETY: a new descriptor.
        unsafe { OwnedFd::from_raw_fd(libc::eventfd(value, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) }
    };
    limit(30, || {
        each_driver_of_all(|channel| {
            for mode in [true, false] {
                let (near, mut far) = UnixStream::pair().unwrap();
                near.set_nonblocking(mode).unwrap();
                let near = Source::from(near);
                let id = channel.post(Request::pump(counter(5), near.clone())).unwrap();
                assert!(channel.try_get_event().unwrap().is_none());
                let mut came = [0; 8];
                far.read_exact(&mut came).unwrap();
                assert_eq!(u64::from_ne_bytes(came), 5);
                channel.cancel(id);
                let event = channel.get_event().unwrap();
                assert!(event.is_cancelled() && event.pumped() == 8, "{event:?}");
                // And the other way.
                far.write_all(&7u64.to_ne_bytes()).unwrap();
                far.shutdown(Shutdown::Write).unwrap();
                let counts = Arc::new(counter(1));
                channel.post(Request::pump(near, counts.clone())).unwrap();
                assert_eq!(channel.get_event().unwrap().result().unwrap(), 8);
                let mut counted = [0; 8];
                File::from(counts.try_clone().unwrap()).read_exact(&mut counted).unwrap();
                assert_eq!(u64::from_ne_bytes(counted), 8);
            }
        })
    });
}

#[test]
fn a_failure_says_which_side_it_was() {
    limit(30, || {
        each_driver_of_all(|channel| {
            let failure = |request| {
                channel.post(request).unwrap();
                channel.get_event().unwrap().failure().unwrap()
            };
            for mode in [false, true] {
                // The input is reset.
                let ((near, far), (next, _last)) = (tcp(), UnixStream::pair().unwrap());
                near.set_nonblocking(mode).unwrap();
                next.set_nonblocking(mode).unwrap();
                (&near).write_all(b"nobody reads this").unwrap();
                drop(far);
                let failed = failure(Request::pump(near, next));
                assert_eq!((failed.role(), failed.errno()), (Some("input"), libc::ECONNRESET));
                assert!(failed.to_string().starts_with("pump on its input: "), "{failed}");
                // Nobody hears the output.
                let ((near, mut far), (next, last)) = (tcp(), UnixStream::pair().unwrap());
                near.set_nonblocking(mode).unwrap();
                next.set_nonblocking(mode).unwrap();
                far.write_all(b"anything").unwrap();
                drop(last);
                let failed = failure(Request::pump(near, next));
                assert_eq!((failed.role(), failed.errno()), (Some("output"), libc::EPIPE));
                // Between pipes the one call has both.
                let ((reader, mut writer), (_, output)) =
                    (std::io::pipe().unwrap(), std::io::pipe().unwrap());
                writer.write_all(b"anything").unwrap();
                let failed = failure(Request::pump(OwnedFd::from(reader), OwnedFd::from(output)));
                assert_eq!((failed.role(), failed.errno()), (Some("output"), libc::EPIPE));
            }
            // And what cannot be used at all.
            let (near, _far) = UnixStream::pair().unwrap();
            let read_only = File::open("/dev/null").unwrap();
            let failed = failure(Request::pump(near, read_only));
            assert_eq!((failed.role(), failed.errno()), (Some("output"), libc::EBADF));
        })
    });
}
