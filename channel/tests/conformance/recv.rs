//! Bytes received.

use crate::SOON;
use crate::common::{each_driver, none_for, room};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::io::Write;
use std::os::unix::net::UnixStream;

#[test]
fn a_receive_completes_with_the_bytes() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let id = channel.post(Request::recv(a, room(64)).token(9)).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"some bytes").unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!((event.id(), event.kind(), event.token()), (id, EventKind::Recv, 9));
            assert_eq!((event.result().unwrap(), event.buffer()), (10, &b"some bytes"[..]));
        })
    });
}

#[test]
fn a_receive_of_data_that_is_there_completes_at_once() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            b.write_all(b"early").unwrap();
            channel.post(Request::recv(a, room(3))).unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"ear");
        })
    });
}

#[test]
fn the_end_of_a_stream_is_a_receive_of_nothing() {
    limit(30, || {
        each_driver(|channel| {
            let (a, b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(64))).unwrap();
            none_for(&channel, SOON);
            drop(b);
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
        })
    });
}

#[test]
fn data_followed_by_the_end_gives_both_in_turn() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(64))).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"last words").unwrap();
            drop(b);
            let event = channel.get_event().unwrap();
            assert_eq!(event.buffer(), b"last words");
            channel.post(event.again()).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
        })
    });
}

#[test]
fn a_socket_in_non_blocking_mode_is_waited_for_all_the_same() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            a.set_nonblocking(true).unwrap();
            channel.post(Request::recv(a, room(8))).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"yes").unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"yes");
        })
    });
}
