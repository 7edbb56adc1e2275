//! Cancels and time limits.

use crate::SOON;
use crate::common::{each_driver, none_for, room};
use ec_channel::{Interest, Request};
use ec_test_support::limit;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[test]
fn a_cancelled_request_comes_back_as_cancelled() {
    limit(30, || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let ((a, _b), (c, _d)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
            let requests = [
                Request::recv(a, room(8)),
                Request::accept(listener),
                Request::readiness(c, Interest::READABLE),
                Request::timer(Duration::from_secs(100)),
            ];
            for request in requests {
                let kind = request.kind();
                let id = channel.post(request).unwrap();
                none_for(&channel, SOON);
                assert!(channel.cancel(id));
                let event = channel.get_event().unwrap();
                assert_eq!((event.id(), event.kind(), event.is_cancelled()), (id, kind, true));
                assert!(!channel.cancel(id), "it has come back");
            }
        })
    });
}

#[test]
fn a_cancel_right_behind_the_post_is_seen() {
    limit(30, || {
        each_driver(|channel| {
            let (a, _b) = UnixStream::pair().unwrap();
            let id = channel.post(Request::recv(a, room(8))).unwrap();
            assert!(channel.cancel(id) && channel.cancel(id));
            assert!(channel.get_event().unwrap().is_cancelled());
            none_for(&channel, SOON);
        })
    });
}

#[test]
fn a_request_over_its_limit_comes_back_as_timed_out() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(8)).within(SOON)).unwrap();
            let event = channel.get_event().unwrap();
            assert!(event.is_timed_out());
            assert_eq!(event.result().unwrap_err().kind(), io::ErrorKind::TimedOut);
            b.write_all(b"late").unwrap();
            channel.post(event.again()).unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"late", "what came late is still there");
        })
    });
}

/// Fails without generations: the late cancel then hits the second request, which has the first one's slot.
#[test]
fn a_late_cancel_does_not_hit_the_next_request() {
    limit(30, || {
        each_driver(|channel| {
            let first = channel.post(Request::timer(Duration::ZERO)).unwrap();
            channel.get_event().unwrap();
            let (a, mut b) = UnixStream::pair().unwrap();
            let second = channel.post(Request::recv(a, room(8))).unwrap();
            assert_ne!(first, second);
            assert!(!channel.cancel(first));
            none_for(&channel, SOON);
            b.write_all(b"safe").unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!((event.id(), event.buffer()), (second, &b"safe"[..]));
        })
    });
}
