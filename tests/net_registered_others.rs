//! Others wait for a wrapper's socket than its own calls: events of the channel, and whoever has its descriptor after it. The driver knows
//! the socket from the first call that waits until the wrapper goes, and they hear of what comes before, meanwhile and afterwards.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::{EventChannel, Interest, Request, Source};
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::{Runtime, time};
use net_common::{each_runtime, each_runtime_of, pair};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(20);
const MOST_CORES: usize = 4;

/// So many events that wait until `it` is readable, at one port after the other: what tells of each.
fn events(channel: &EventChannel, it: impl Into<Source>, count: usize) -> Receiver<bool> {
    let (it, (tell, told)) = (it.into(), mpsc::channel());
    for _ in 0..count {
        let tell = Mutex::new(tell.clone());
        let event = Request::readiness(it.clone(), Interest::READABLE);
        let event =
            event.on_complete(move |_, event| tell.lock().unwrap().send(event.result().is_ok()).unwrap());
        channel.post(event).unwrap();
    }
    told
}

fn all_come(told: &Receiver<bool>, count: usize) {
    for n in 0..count {
        assert_eq!(told.recv_timeout(LONG), Ok(true), "{n} of {count} have come");
    }
}

/// A call that waits, in vain: the driver knows the socket after it.
fn wait_in_vain(stream: &TcpStream) {
    stream.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!((&*stream).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// The wrapper goes, its descriptor does not: it is given away, by one way or another.
#[test]
fn events_hear_of_a_descriptor_that_outlives_its_wrapper() {
    limit(60, || {
        each_runtime(|runtime| {
            let ways: [fn(TcpStream) -> OwnedFd; 3] = [
                OwnedFd::from,
                // SAFETY: it is ours.
                |stream| unsafe { OwnedFd::from_raw_fd(stream.into_raw_fd()) },
                |stream| std::net::TcpStream::from(stream).into(),
            ];
            for way in ways {
                for first in [true, false] {
                    let (near, mut far) = runtime.run(pair);
                    // SAFETY: the descriptor stays open until the events have come.
                    let lent = unsafe { BorrowedFd::borrow_raw(near.as_raw_fd()) };
                    let post = || events(runtime.channel(), Arc::new(lent), MOST_CORES);
                    let before = first.then(post);
                    std::thread::sleep(SOON);
                    let near = runtime.run(move || {
                        wait_in_vain(&near);
                        near
                    });
                    let told = before.unwrap_or_else(post);
                    std::thread::sleep(SOON);
                    let owned = runtime.run(move || way(near));
                    assert_eq!(owned.as_raw_fd(), lent.as_raw_fd());
                    far.write_all(b"x").unwrap();
                    all_come(&told, MOST_CORES);
                }
            }
        });
    });
}

/// Calls that are the first to wait for a socket, all at the same moment, beside events that wait already.
fn first_at_once<T: AsFd + Send + Sync + 'static>(
    runtime: &Runtime,
    socket: T,
    wait: fn(&T),
    send: impl FnOnce(&T),
) {
    let socket = Arc::new(socket);
    let told = events(runtime.channel(), socket.clone(), MOST_CORES);
    let gate = Arc::new(Barrier::new(2));
    let calls = [(); 2].map(|()| {
        let (socket, gate) = (socket.clone(), gate.clone());
        runtime.spawn(move || {
            gate.wait();
            wait(&socket);
        })
    });
    std::thread::sleep(SOON / 10);
    send(&socket);
    calls.into_iter().for_each(|call| call.join().unwrap());
    all_come(&told, MOST_CORES);
}

#[test]
fn all_hear_of_a_socket_for_which_two_tasks_are_the_first_to_wait() {
    limit(120, || {
        each_runtime_of(&[MOST_CORES], |runtime| {
            for _ in 0..60 {
                let (near, far) = runtime.run(pair);
                let peek = |near: &TcpStream| assert_eq!(near.peek(&mut [0]).unwrap(), 1);
                first_at_once(runtime, near, peek, |_| (&far).write_all(b"x").unwrap());
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let peek = |socket: &UdpSocket| assert_eq!(socket.peek(&mut [0]).unwrap(), 1);
                first_at_once(runtime, socket, peek, |socket| {
                    let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                    other.send_to(b"x", socket.local_addr().unwrap()).unwrap();
                });
                let (listener, mut clients) = (TcpListener::bind("127.0.0.1:0").unwrap(), Vec::new());
                let accept = |listener: &TcpListener| drop(listener.accept().unwrap());
                first_at_once(runtime, listener, accept, |listener| {
                    let to = listener.local_addr().unwrap();
                    clients.extend((0..3).map(|_| std::net::TcpStream::connect(to).unwrap()));
                });
            }
        });
    });
}

/// A second wrapper of the same descriptor, which is never dropped, as programs make one for a while: the next socket of that number.
#[test]
fn a_wrapper_that_was_leaked_holds_up_nobody() {
    limit(60, || {
        each_runtime(|runtime| {
            let (near, far) = runtime.run(pair);
            let number = near.as_raw_fd();
            let owner = OwnedFd::from(near);
            runtime.run(move || {
                // SAFETY: the descriptor is open, and is not closed by this.
                wait_in_vain(&std::mem::ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(number) }));
            });
            let (next, mut far_of_next) = runtime.run(pair);
            // SAFETY: both are ours; the second is closed by this.
            assert_eq!(unsafe { libc::dup2(next.as_raw_fd(), owner.as_raw_fd()) }, number);
            drop((next, far));
            let told = events(runtime.channel(), Arc::new(owner), 1);
            time::sleep(SOON);
            far_of_next.write_all(b"x").unwrap();
            all_come(&told, 1);
        });
    });
}
