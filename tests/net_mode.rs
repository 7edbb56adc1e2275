//! Descriptors: their mode is the user's, they are closed at exec, and they come from std and go back.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::Cancelled;
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use net_common::{each_run, each_runtime, nobody, pair, until_waiting};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn flags(fd: RawFd) -> (bool, bool) {
    // SAFETY: no pointer is passed.
    let (mode, own) = unsafe { (libc::fcntl(fd, libc::F_GETFL), libc::fcntl(fd, libc::F_GETFD)) };
    (mode & libc::O_NONBLOCK != 0, own & libc::FD_CLOEXEC != 0)
}

#[test]
fn sockets_stay_blocking_and_are_closed_at_exec() {
    limit(30, || {
        each_run(|| {
            let expected = (false, true);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            near.write_all(b"x").unwrap();
            far.read_exact(&mut [0]).unwrap();
            let timed = TcpStream::connect_timeout(
                &listener.local_addr().unwrap(),
                std::time::Duration::from_secs(9),
            );
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let clone = far.try_clone().unwrap();
            let all = [
                listener.as_raw_fd(),
                near.as_raw_fd(),
                far.as_raw_fd(),
                timed.as_ref().unwrap().as_raw_fd(),
                socket.as_raw_fd(),
                clone.as_raw_fd(),
            ];
            assert_eq!(all.map(flags), [expected; 6]);
        });
    });
}

#[test]
fn a_connect_that_waited_leaves_the_socket_blocking_too() {
    limit(30, || {
        each_run(|| {
            let (nobody, _held) = nobody();
            TcpStream::connect(nobody).unwrap_err();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let streams: Vec<_> =
                (0..20).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
            assert!(streams.iter().all(|stream| !flags(stream.as_raw_fd()).0));
        });
    });
}

/// No driver has to change its mode then, which a forked child, say, would see.
#[test]
fn a_socket_of_a_task_does_not_block_as_long_as_it_connects() {
    limit(60, || {
        each_runtime(|runtime| {
            // Nobody accepts, and its queue is full: a connect to it stays under way.
            let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let listener = socket();
            listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            listener.listen(0).unwrap();
            let to = listener.local_addr().unwrap();
            let _full: Vec<_> = (0..3)
                .map(|_| {
                    let full = socket();
                    full.set_nonblocking(true).unwrap();
                    let _ = full.connect(&to);
                    full
                })
                .collect();
            let connecting = runtime.spawn(move || TcpStream::connect(to.as_socket().unwrap()));
            until_waiting(runtime, "connect");
            let dump = runtime.dump().to_string();
            let fd = dump.split("descriptor ").nth(1).unwrap();
            let fd = fd.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
            assert!(flags(fd).0, "{dump}");
            connecting.cancel();
            assert!(Cancelled::is(&connecting.join().unwrap().unwrap_err()));
        });
    });
}

#[test]
fn after_set_nonblocking_nothing_waits_and_after_its_end_everything_does() {
    limit(30, || {
        each_runtime(|runtime| {
            let (near, far) = pair();
            let mut clone = far.try_clone().unwrap();
            let reader = runtime.spawn(move || {
                clone.set_nonblocking(true).unwrap();
                assert_eq!(clone.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
                assert_eq!(clone.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
                // The kernel may still move bytes to the other side, but it ends.
                let full = std::iter::repeat_with(|| clone.write(&[0; 65_536])).find_map(Result::err);
                assert_eq!(full.unwrap().kind(), ErrorKind::WouldBlock);
                far.set_nonblocking(false).unwrap();
                clone.read(&mut [0]).unwrap()
            });
            until_waiting(runtime, "recv: descriptor");
            (&near).write_all(b"x").unwrap();
            assert_eq!(reader.join().unwrap(), 1);
        });
    });
}

#[test]
fn a_nonblocking_listener_hands_out_streams_that_wait() {
    limit(30, || {
        each_runtime(|runtime| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = runtime.spawn(move || {
                listener.set_nonblocking(true).unwrap();
                assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
                let near = TcpStream::connect(addr).unwrap();
                let (mut far, _) = loop {
                    match listener.accept() {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            event_channel::task::yield_now()
                        }
                        result => break result.unwrap(),
                    }
                };
                let waited = far.read(&mut [0]);
                drop(near);
                waited
            });
            until_waiting(runtime, "recv: descriptor");
            server.cancel();
            assert!(Cancelled::is(&server.join().unwrap().unwrap_err()));
        });
    });
}

#[test]
fn sockets_come_from_std_as_they_are_and_go_back() {
    limit(30, || {
        each_run(|| {
            let listener = TcpListener::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
            let std = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            std.set_nonblocking(true).unwrap();
            let mut near = TcpStream::from(std);
            assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            let (far, _) = listener.accept().unwrap();
            let mut far = std::net::TcpStream::from(far);
            far.write_all(b"x").unwrap();
            near.set_nonblocking(false).unwrap();
            assert_eq!(near.read(&mut [0; 4]).unwrap(), 1);
            let std =
                std::net::UdpSocket::from(UdpSocket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()));
            assert!(std.local_addr().is_ok());
        });
    });
}

/// Whether it is set through the wrapper or past it: no driver touches the mode of a listener.
#[test]
fn what_the_program_sets_while_a_task_accepts_stays_set() {
    limit(60, || {
        each_runtime(|runtime| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let addr = listener.local_addr().unwrap();
            let (accepts, ends) = (listener.clone(), Arc::new(AtomicBool::new(false)));
            let ended = ends.clone();
            let accepting = runtime.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    if accepts.accept().is_err() {
                        event_channel::task::yield_now();
                    }
                }
            });
            std::thread::scope(|s| {
                s.spawn(|| {
                    while !ends.load(Ordering::Relaxed) {
                        let _ = std::net::TcpStream::connect(addr);
                    }
                });
                let past = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned().unwrap());
                let mut changed = 0;
                for round in 0..200 {
                    std::thread::sleep(Duration::from_micros(500));
                    let set = |mode| match round % 2 {
                        0 => listener.set_nonblocking(mode).unwrap(),
                        _ => past.set_nonblocking(mode).unwrap(),
                    };
                    for mode in [true, false] {
                        set(mode);
                        let stays = (0..20).all(|_| flags(listener.as_raw_fd()).0 == mode);
                        changed += u32::from(!stays);
                    }
                }
                ends.store(true, Ordering::Relaxed);
                assert_eq!(changed, 0);
            });
            accepting.cancel();
            accepting.join().unwrap();
        });
    });
}

/// The mode may change between the look at it and the call: the task is not to be caught in a call that blocks, where no cancel
/// reaches it.
#[test]
fn a_mode_that_changes_at_this_moment_catches_no_task() {
    limit(60, || {
        each_runtime(|runtime| {
            for _ in 0..100 {
                let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
                listener.set_nonblocking(true).unwrap();
                let accepts = listener.clone();
                let accepting = runtime.spawn(move || {
                    while accepts.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {}
                });
                std::thread::sleep(Duration::from_micros(200));
                listener.set_nonblocking(false).unwrap();
                accepting.cancel();
                accepting.join().unwrap();
            }
        });
    });
}
