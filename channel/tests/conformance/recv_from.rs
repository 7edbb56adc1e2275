//! Datagrams received.

use crate::common::{each_driver, room};
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::net::UdpSocket;

#[test]
fn datagrams_carry_their_addresses_and_say_when_cut_off() {
    limit(30, || {
        each_driver(|channel| {
            let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
            let (at, from) = (a.local_addr().unwrap(), b.local_addr().unwrap());
            channel.post(Request::recv_from(a, room(4))).unwrap();
            channel.post(Request::send_to(b, b"datagram".to_vec(), at)).unwrap();
            for _ in 0..2 {
                let event = channel.get_event().unwrap();
                if event.kind() == EventKind::RecvFrom {
                    assert_eq!((event.buffer(), event.address()), (&b"data"[..], Some(from)));
                    assert!(event.is_truncated());
                } else {
                    assert_eq!(event.result().unwrap(), 8);
                }
            }
        })
    });
}
