//! Where the driver reports each change of a socket once, whether somebody waits or not (epoll), nobody waits for what has been
//! reported already; and what a socket was, its descriptor's next owner does not hear of. The same on each driver.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::{Driver, Request, Source};
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::{Runtime, task, time};
use net_common::{build, each_run, each_runtime, pair, until_waiting};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(20);

/// The driver knows the socket, after this, and the next reads are posted without an attempt before: that was in vain too often.
fn let_reads_wait(stream: &TcpStream) {
    stream.set_read_timeout(Some(SOON / 10)).unwrap();
    for _ in 0..20 {
        assert_eq!((&*stream).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    stream.set_read_timeout(Some(LONG)).unwrap();
}

fn read(stream: &TcpStream, room: usize) -> Vec<u8> {
    let mut buf = vec![0; room];
    let n = (&*stream).read(&mut buf).unwrap();
    buf.truncate(n);
    buf
}

#[test]
fn what_a_short_read_leaves_is_read_next() {
    limit(60, || {
        each_run(|| {
            let (near, mut far) = pair();
            let_reads_wait(&near);
            far.write_all(b"abcdef").unwrap();
            assert_eq!(read(&near, 2), b"ab");
            assert_eq!(read(&near, 100), b"cdef");
            // With its end, which came before it was read.
            far.write_all(b"the last").unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            time::sleep(SOON);
            assert_eq!(read(&near, 100), b"the last");
            assert_eq!(read(&near, 100), b"");
            assert_eq!(read(&near, 100), b"");
        });
    });
}

/// A read ends before urgent data, although there is more behind it.
#[test]
fn what_is_behind_urgent_data_is_read() {
    limit(60, || {
        each_run(|| {
            let (near, mut far) = pair();
            let_reads_wait(&near);
            for _ in 0..3 {
                far.write_all(b"before").unwrap();
                socket2::SockRef::from(&far).send_out_of_band(b"!").unwrap();
                far.write_all(b"behind").unwrap();
                time::sleep(SOON);
                assert_eq!(read(&near, 100), b"before");
                assert_eq!(read(&near, 100), b"behind");
                let_reads_wait(&near);
            }
        });
    });
}

/// The read ends there even if somebody has taken the urgent byte before the driver has looked, as the handler of a signal does.
#[test]
fn what_is_behind_urgent_data_is_read_that_somebody_has_taken() {
    limit(60, || {
        for driver in Driver::ALL {
            // (One core, which does not look before the main task waits.)
            let Some(runtime) = build(driver, Runtime::builder().cores(1).without_monitor()) else {
                continue;
            };
            runtime.run(|| {
                let (near, mut far) = pair();
                let near = Arc::new(near);
                far.set_nodelay(true).unwrap();
                for (waits, room) in [(true, 100), (false, 100), (true, 7), (false, 6)] {
                    let_reads_wait(&near);
                    let reads = {
                        let near = near.clone();
                        move || {
                            near.set_read_timeout(Some(LONG)).unwrap();
                            [read(&near, room), read(&near, room)]
                        }
                    };
                    let waiting = waits.then(|| task::spawn(reads.clone()));
                    task::yield_now();
                    far.write_all(b"before").unwrap();
                    socket2::SockRef::from(&far).send_out_of_band(b"!").unwrap();
                    far.write_all(b"behind").unwrap();
                    let mut urgent = [std::mem::MaybeUninit::uninit(); 4];
                    assert_eq!(socket2::SockRef::from(&*near).recv_out_of_band(&mut urgent).unwrap(), 1);
                    let reader = waiting.unwrap_or_else(|| task::spawn(reads));
                    assert_eq!(reader.join().unwrap(), [b"before", b"behind"], "{driver}, {waits}, {room}");
                }
            });
        }
    });
}

/// A Unix socket under the name of another sort: a read of it ends where the sender's credentials or descriptors change.
#[test]
fn a_read_that_ends_at_a_boundary_leaves_the_rest_for_the_next() {
    limit(60, || {
        each_run(|| {
            let (near, far) = UnixStream::pair().unwrap();
            let near = TcpStream::from(OwnedFd::from(near));
            let_reads_wait(&near);
            for n in 0..5 {
                let passed = std::fs::File::open("/dev/null").unwrap();
                send_with(&far, b"with one", &passed);
                send_with(&far, b"with another", &passed);
                time::sleep(SOON);
                assert_eq!(read(&near, 100), b"with one", "{n}");
                assert_eq!(read(&near, 100), b"with another", "{n}");
            }
        });
    });
}

/// Bytes with a descriptor.
fn send_with(to: &UnixStream, bytes: &[u8], passed: &std::fs::File) {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut room = [0u64; 8];
    // SAFETY: all zero is an empty header; what it refers to lives; the control message has room for one descriptor.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        (message.msg_control, message.msg_controllen) = (room.as_mut_ptr().cast(), libc::CMSG_SPACE(4) as _);
        let control = libc::CMSG_FIRSTHDR(&message);
        ((*control).cmsg_level, (*control).cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        (*control).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(control).cast::<i32>().write_unaligned(passed.as_raw_fd());
        libc::sendmsg(to.as_raw_fd(), &message, 0)
    };
    assert_eq!(usize::try_from(sent), Ok(bytes.len()));
}

/// All of a burst, of which the kernel tells once.
#[test]
fn each_connection_and_each_datagram_of_a_burst_is_had() {
    limit(60, || {
        each_run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = listener.local_addr().unwrap();
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(other.local_addr().unwrap()).unwrap();
            for _ in 0..5 {
                // Each has waited, and is not tried before it is posted.
                assert!(time::timeout(SOON, || listener.accept()).is_err());
                for _ in 0..100 {
                    assert!(time::timeout(SOON / 100, || socket.recv(&mut [0])).is_err());
                }
                let clients: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(to).unwrap()).collect();
                for n in 0..20u8 {
                    other.send_to(&[n, 0, 0], socket.local_addr().unwrap()).unwrap();
                }
                for n in 0..20u8 {
                    time::timeout(LONG, || listener.accept()).unwrap();
                    let mut buf = [0; 100];
                    let received = time::timeout(LONG, || match n % 2 {
                        0 => socket.recv(&mut buf),
                        _ => socket.recv_from(&mut buf).map(|(n, _)| n),
                    });
                    assert_eq!((received.unwrap(), buf[0]), (3, n));
                }
                drop(clients);
            }
        });
    });
}

/// Its descriptor's number has an owner after the other, while the files before it live on in duplicates, and are written to.
#[test]
fn the_next_owner_of_a_descriptor_s_number_hears_of_its_own() {
    limit(60, || {
        each_run(|| {
            let (mut duplicates, mut number) = (Vec::new(), None);
            for round in 0..30u8 {
                let (near, mut far) = pair();
                let_reads_wait(&near);
                number.get_or_insert(near.as_raw_fd());
                for (_, old) in &mut duplicates {
                    std::net::TcpStream::write_all(old, b"old").unwrap();
                }
                let reader = task::spawn(move || {
                    let got = read(&near, 100);
                    let kept = socket2::SockRef::from(&near).try_clone().unwrap();
                    // Closed, or handed over and closed.
                    if round % 2 == 0 {
                        drop(near)
                    } else {
                        drop(OwnedFd::from(near))
                    }
                    (got, kept)
                });
                task::yield_now();
                far.write_all(&[round]).unwrap();
                let (got, kept) = reader.join().unwrap();
                assert_eq!(got, [round]);
                duplicates.push((kept, std::net::TcpStream::from(far)));
                if duplicates.len() > 5 {
                    duplicates.remove(0);
                }
            }
        });
    });
}

#[test]
fn a_socket_goes_from_one_runtime_to_another() {
    limit(60, || {
        for driver in Driver::ALL {
            for before in Driver::ALL {
                let runtime = || build(driver, Runtime::builder().cores(2));
                let (Some(first), Some(second)) = (build(before, Runtime::builder().cores(2)), runtime())
                else {
                    continue;
                };
                let (near, mut far) = first.run(|| {
                    let (near, far) = pair();
                    let_reads_wait(&near);
                    (near, far)
                });
                let near = Arc::new(near);
                let theirs = near.clone();
                let reads = move || read(&theirs, 100);
                // Both live; then one does.
                let reader = second.spawn(reads.clone());
                until_waiting(&second, "recv");
                far.write_all(b"to the second").unwrap();
                assert_eq!(reader.join().unwrap(), b"to the second");
                let reader = first.spawn(reads.clone());
                until_waiting(&first, "recv");
                far.write_all(b"to the first").unwrap();
                assert_eq!(reader.join().unwrap(), b"to the first");
                drop(first);
                let reader = second.spawn(reads);
                until_waiting(&second, "recv");
                far.write_all(b"once more").unwrap();
                assert_eq!(reader.join().unwrap(), b"once more");
                drop(second);
                // On no runtime at all.
                far.write_all(b"by thread").unwrap();
                assert_eq!(read(&near, 100), b"by thread");
            }
        }
    });
}

/// Events of the channel on the same socket as calls of tasks, and dedicated tasks beside others.
#[test]
fn tasks_and_events_share_a_socket() {
    limit(60, || {
        each_runtime(|runtime| {
            let (near, mut far) = runtime.run(pair);
            let near = Arc::new(near);
            let channel = runtime.channel().clone();
            for round in 0..20 {
                let theirs = near.clone();
                let reads = move || read(&theirs, 100);
                let reader = match round % 2 {
                    0 => runtime.spawn(reads),
                    _ => runtime.run(move || task::Builder::new().dedicated().spawn(reads).unwrap()),
                };
                until_waiting(runtime, "recv");
                far.write_all(b"task").unwrap();
                assert_eq!(reader.join().unwrap(), b"task");
                let receive = Request::recv(Source::from(near.clone()), Vec::with_capacity(100));
                channel.post(receive).unwrap();
                assert!(channel.get_event_timeout(SOON / 10).unwrap().is_none());
                far.write_all(b"event").unwrap();
                assert_eq!(channel.get_event().unwrap().buffer(), b"event");
            }
        });
    });
}

/// One reads what another writes, both ways, with room for less than is sent, and handles that come and go.
#[test]
fn streams_of_all_sizes_arrive_whole() {
    limit(120, || {
        each_run(|| {
            let sizes = [1usize, 7, 64, 1000, 4096, 65_536, 300_000];
            let (near, far) = pair();
            let tasks: Vec<_> = [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                .into_iter()
                .flat_map(|(mut from, to)| {
                    let sends = task::spawn(move || {
                        for (n, size) in (0..40).zip(sizes.iter().cycle()) {
                            from.write_all(&vec![n as u8; *size]).unwrap();
                            if n % 5 == 0 {
                                time::sleep(SOON / 20);
                            }
                        }
                        from.shutdown(Shutdown::Write).unwrap();
                    });
                    let receives = task::spawn(move || {
                        for (n, size) in (0..40).zip(sizes.iter().cycle()) {
                            let mut left = *size;
                            while left > 0 {
                                // (By handles that are new each time, too.)
                                let another = to.try_clone().unwrap();
                                let handle = if n % 3 == 0 { &another } else { &to };
                                let got = read(handle, left.min(5000));
                                assert!(!got.is_empty() && got.iter().all(|byte| *byte == n as u8));
                                left -= got.len();
                            }
                        }
                        assert_eq!(read(&to, 1), b"");
                    });
                    [sends, receives]
                })
                .collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
        });
    });
}
