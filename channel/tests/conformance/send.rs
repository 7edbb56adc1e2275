//! Bytes sent.

use crate::SOON;
use crate::common::{each_driver, none_for};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

#[test]
fn a_send_waits_for_room() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Arc::new(a);
            a.set_nonblocking(true).unwrap();
            while (&*a).write(&[1; 4096]).is_ok() {}
            a.set_nonblocking(false).unwrap();
            channel.post(Request::send(a.clone(), vec![2; 100])).unwrap();
            none_for(&channel, SOON);
            let mut sink = vec![0; 1 << 20];
            b.set_nonblocking(true).unwrap();
            while b.read(&mut sink).is_ok() {}
            let event = channel.get_event().unwrap();
            assert_eq!((event.kind(), event.result().unwrap()), (EventKind::Send, 100));
        })
    });
}

#[test]
fn a_send_to_a_closed_peer_is_an_error_not_a_signal() {
    limit(30, || {
        each_driver(|channel| {
            let (a, b) = UnixStream::pair().unwrap();
            drop(b);
            channel.post(Request::send(a, vec![0; 10])).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        })
    });
}
