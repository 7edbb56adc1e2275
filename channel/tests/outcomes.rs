//! What a request comes to when others have a hand in it: a cancel, or another call that takes the socket's error.

mod common;

use common::{each_driver, fresh_socket};
use ec_channel::{Interest, Request, Source};
use ec_test_support::limit;
use ec_unkind as _;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// What was there before the cancel is delivered, also if nobody has looked until then.
#[test]
fn a_cancel_loses_nothing_that_has_come() {
    limit(30, || {
        each_driver(|channel| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let accept = channel.post(Request::accept(listener.clone()).token(1)).unwrap();
            let (near, far) = UnixStream::pair().unwrap();
            let ready = channel.post(Request::readiness(near, Interest::READABLE).token(2)).unwrap();
            assert!(channel.get_event_timeout(Duration::from_millis(5)).unwrap().is_none());
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (&far).write_all(b"x").unwrap();
            channel.cancel(accept);
            channel.cancel(ready);
            for _ in 0..2 {
                let event = channel.get_event().unwrap();
                assert!(event.result().is_ok(), "{event:?}");
            }
        })
    });
}

/// Other calls on the socket take its error; the connect has failed all the same.
#[test]
fn a_refused_connect_fails_whoever_has_had_the_error() {
    limit(60, || {
        each_driver(|channel| {
            for _ in 0..30 {
                let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                let source = Source::from(std::os::fd::OwnedFd::from(socket));
                channel.post(Request::connect(source.clone(), nobody).token(1)).unwrap();
                channel.post(Request::recv(source.clone(), Vec::with_capacity(8)).token(2)).unwrap();
                for _ in 0..2 {
                    let event = channel.get_event().unwrap();
                    assert!(event.result().is_err(), "{event:?}");
                }
            }
        })
    });
}

/// What connects is connected for the kernel, too.
#[test]
fn to_connect_again_is_an_error() {
    limit(60, || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let source = Source::from(OwnedFd::from(fresh_socket()));
            let connect = || {
                channel.post(Request::connect(source.clone(), addr)).unwrap();
                channel.get_event().unwrap().result().map_err(|error| error.raw_os_error())
            };
            assert_eq!(connect(), Ok(0));
            assert_eq!(connect(), Err(Some(libc::EISCONN)));
        })
    });
}
