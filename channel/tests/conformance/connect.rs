//! Connections made.

use crate::SOON;
use crate::common::{each_driver, fresh_socket, none_for};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

#[test]
fn accept_and_connect_meet() {
    limit(30, || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = listener.local_addr().unwrap();
            channel.post(Request::accept(listener)).unwrap();
            none_for(&channel, SOON);
            let socket = Arc::new(std::os::fd::OwnedFd::from(fresh_socket()));
            channel.post(Request::connect(socket.clone(), to)).unwrap();
            let mut peer = None;
            for _ in 0..2 {
                let mut event = channel.get_event().unwrap();
                event.result().unwrap();
                if event.kind() == EventKind::Accept {
                    assert!(matches!(event.address(), Some(SocketAddr::V4(_))));
                    peer = event.take_accepted().map(TcpStream::from);
                }
            }
            let mut ours = TcpStream::from(socket.try_clone().unwrap());
            ours.write_all(b"x").unwrap();
            assert_eq!(peer.expect("accepted").read(&mut [0; 4]).unwrap(), 1);
            assert!(!is_nonblocking(&ours), "the descriptor keeps its mode");
        })
    });
}

fn is_nonblocking(fd: &impl std::os::fd::AsRawFd) -> bool {
    // SAFETY: no pointer is passed.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK != 0 }
}

#[test]
fn a_refused_connect_says_so() {
    limit(30, || {
        each_driver(|channel| {
            // Bound, so that nobody else gets the port, and not listening.
            let nobody = fresh_socket();
            nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            let to = nobody.local_addr().unwrap().as_socket().unwrap();
            channel.post(Request::connect(std::os::fd::OwnedFd::from(fresh_socket()), to)).unwrap();
            let error = channel.get_event().unwrap().result().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        })
    });
}
