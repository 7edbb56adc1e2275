//! Sockets that are ready and help nobody, and such as have been shut down: in tasks, and on plain threads inside a `timeout`.

mod net_common;

use ec_test_support::{alone, cpu_time};
use ec_unkind as _;
use event_channel::net::UdpSocket;
use event_channel::{Runtime, time};
use net_common::{each_runtime, until_waiting};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

fn cpu() -> Duration {
    cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// A socket with something in its error queue, which no receive takes.
fn with_an_error_queued() -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let on = 1i32;
    // SAFETY: a live int.
    let r = unsafe {
        let (level, option) = (libc::IPPROTO_IP, libc::IP_RECVERR);
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), 4)
    };
    assert_eq!(r, 0);
    loop {
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        socket.send_to(b"x", nobody).unwrap();
        let mut ask = libc::pollfd { fd: socket.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: a live pollfd. (Somebody else may have got the number: then another one.)
        if unsafe { libc::poll(&mut ask, 1, 1_000) } > 0 {
            // The error itself; what tells more of it stays in the queue.
            assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
            return socket;
        }
    }
}

const WATCHED: Duration = Duration::from_millis(300);

/// What the process spends meanwhile is a few per cent: in one of some spans, for others may disturb it.
fn watch(what: &str) {
    let span = || {
        let (spent, begun) = (cpu(), Instant::now());
        std::thread::sleep(WATCHED);
        ((cpu() - spent) * 20, begun.elapsed())
    };
    let spans: Vec<_> = (0..5).map(|_| span()).take_while(|(spent, watched)| spent >= watched).collect();
    assert!(spans.len() < 5, "{what}: 20 times the CPU, and the time: {spans:?}");
}

/// Something comes after all.
fn end(to: SocketAddr) {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"data", to).unwrap();
}

#[test]
fn a_task_that_receives_beside_an_error_queue_spends_nothing_and_gets_what_comes() {
    alone(60, || {
        each_runtime(|runtime| {
            let socket = with_an_error_queued();
            let to = socket.local_addr().unwrap();
            let receiving = runtime.spawn(move || UdpSocket::from(socket).recv(&mut [0; 8]));
            until_waiting(runtime, "recv");
            watch("a task");
            end(to);
            assert_eq!(receiving.join().unwrap().unwrap(), 4);
        });
    });
}

#[test]
fn so_does_a_plain_thread_inside_a_timeout() {
    alone(60, || {
        let socket = with_an_error_queued();
        let to = socket.local_addr().unwrap();
        let receiving = std::thread::spawn(move || {
            let socket = UdpSocket::from(socket);
            time::timeout(Duration::from_secs(50), || socket.recv(&mut [0; 8]))
        });
        watch("a thread");
        end(to);
        assert_eq!(receiving.join().unwrap().unwrap(), 4);
    });
}

/// A socket, and a duplicate by which it is shut down.
fn connected_to_itself() -> (UdpSocket, OwnedFd) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(socket.local_addr().unwrap()).unwrap();
    let duplicate = socket.try_clone().unwrap().into();
    (socket.into(), duplicate)
}

fn shut_down(socket: &OwnedFd) {
    socket2::SockRef::from(socket).shutdown(Shutdown::Read).unwrap();
}

#[test]
fn a_receive_of_a_task_ends_when_the_socket_is_shut_down() {
    alone(60, || {
        each_runtime(|runtime: &Runtime| {
            let (socket, duplicate) = connected_to_itself();
            let receiving = runtime.spawn(move || {
                let waited = socket.recv(&mut [0; 8]).unwrap();
                // And one that begins afterwards; and as std's where nobody is to be named.
                let (later, from) = (socket.recv(&mut [0; 8]).unwrap(), socket.recv_from(&mut [0; 8]));
                (waited, later, from.map_err(|error| error.kind()))
            });
            until_waiting(runtime, "recv");
            shut_down(&duplicate);
            // SAFETY: a duplicate of our own.
            let std = unsafe { std::net::UdpSocket::from_raw_fd(libc::dup(duplicate.as_raw_fd())) };
            let from = std.recv_from(&mut [0; 8]).map_err(|error| error.kind());
            assert_eq!(receiving.join().unwrap(), (0, 0, from));
        });
    });
}

#[test]
fn a_receive_of_a_plain_thread_inside_a_timeout_ends_too() {
    alone(60, || {
        let (socket, duplicate) = connected_to_itself();
        shut_down(&duplicate);
        let received = time::timeout(Duration::from_secs(50), || socket.recv(&mut [0; 8]));
        assert_eq!(received.unwrap(), 0);
    });
}

/// Beside an error queue the limits hold as elsewhere, and what has come in time is had.
#[test]
fn a_plain_thread_inside_a_timeout_keeps_to_its_read_timeout_and_loses_nothing() {
    alone(60, || {
        let socket = UdpSocket::from(with_an_error_queued());
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let begun = Instant::now();
        let late = time::timeout(Duration::from_secs(50), || socket.recv(&mut [0; 8]));
        assert_eq!(late.unwrap_err().raw_os_error(), Some(libc::EAGAIN));
        assert!(begun.elapsed() < Duration::from_secs(10));

        // It rests when the datagram comes, and until the deadline.
        socket.set_read_timeout(None).unwrap();
        let to = socket.local_addr().unwrap();
        let mut in_time = 0;
        for _ in 0..5 {
            let sender = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(90));
                end(to);
            });
            let received = time::timeout(Duration::from_millis(100), || socket.recv(&mut [0; 8]));
            sender.join().unwrap();
            // (On a busy machine it may have come too late. In one of five it has not.)
            in_time += usize::from(received.is_ok());
            if received.is_err() {
                assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 4);
            }
        }
        assert!(in_time > 0);
    });
}
