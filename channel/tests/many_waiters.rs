//! Many requests that wait for one descriptor: what one of them costs does not grow with the others.

mod common;

use common::drivers;
use ec_channel::{Driver, EventChannel, Request, Source};
use ec_test_support::{cpu_time, limit};
use ec_unkind as _;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

fn epoll() -> Option<EventChannel> {
    // (With io_uring the lists are the kernel's.)
    let driver = drivers().into_iter().find(|driver| *driver == Driver::Epoll)?;
    Some(EventChannel::builder().driver(driver).build().unwrap())
}

fn cpu() -> Duration {
    cpu_time(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// What this thread spends on a datagram for one of so many that wait for it: the least of many.
fn a_datagram_for_one_of(waiting: usize) -> Option<Duration> {
    let channel = epoll()?;
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let (peer, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), socket.local_addr().unwrap());
    for _ in 0..waiting {
        channel.post(Request::recv(socket.clone(), Vec::with_capacity(1))).unwrap();
    }
    assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
    let one = || {
        peer.send_to(b"x", to).unwrap();
        let begun = cpu();
        let event = channel.get_event().unwrap();
        let spent = cpu() - begun;
        assert_eq!(event.buffer(), b"x");
        channel.post(event.again()).unwrap();
        assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
        spent
    };
    (0..50).map(|_| one()).min()
}

#[test]
fn a_datagram_for_one_of_many_receivers_costs_no_more_than_for_one_of_few() {
    limit(60, || {
        let (Some(few), Some(many)) = (a_datagram_for_one_of(10), a_datagram_for_one_of(4_000)) else {
            return;
        };
        eprintln!("one of 10: {few:?}, one of 4,000: {many:?}");
        assert!(many < few * 20, "{many:?} for one of 4,000, {few:?} for one of 10");
    });
}

/// What it costs this thread that so many receives of one descriptor time out together, each.
fn a_time_out_of(waiting: u32) -> Option<Duration> {
    let channel = epoll()?;
    let socket = Source::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    for _ in 0..waiting {
        let limit = Duration::from_millis(1);
        channel.post(Request::recv(socket.clone(), Vec::with_capacity(1)).within(limit)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(2));
    let begun = cpu();
    for _ in 0..waiting {
        assert!(channel.get_event().unwrap().is_timed_out());
    }
    Some((cpu() - begun) / waiting)
}

#[test]
fn many_receives_of_one_descriptor_time_out_in_linear_time() {
    limit(120, || {
        let least = |waiting| (0..3).map(|_| a_time_out_of(waiting)).min().flatten();
        let (Some(few), Some(many)) = (least(500), least(20_000)) else { return };
        eprintln!("a time-out of 500: {few:?} each, of 20,000: {many:?} each");
        assert!(many < few * 4, "{many:?} each of 20,000, {few:?} each of 500");
    });
}

/// In the order of their coming, whoever leaves from wherever.
#[test]
fn receives_are_served_in_order_though_some_are_cancelled() {
    limit(60, || {
        for driver in drivers().into_iter().filter(|driver| *driver == Driver::Epoll) {
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
            let (peer, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), socket.local_addr().unwrap());
            let post = |token| {
                channel.post(Request::recv(socket.clone(), Vec::with_capacity(8)).token(token)).unwrap()
            };
            let ids: Vec<_> = (0..30).map(post).collect();
            assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
            let gone = |token: usize| token.is_multiple_of(3) || token > 26;
            for token in (0..30).rev().filter(|token| gone(*token)) {
                assert!(channel.cancel(ids[token]));
                let event = channel.get_event().unwrap();
                assert!(event.is_cancelled() && event.token() == token as u64);
            }
            for token in (0..30).filter(|token| !gone(*token)) {
                peer.send_to(&[token as u8], to).unwrap();
                let event = channel.get_event().unwrap();
                assert_eq!((event.token(), event.buffer()), (token as u64, &[token as u8][..]));
            }
            assert_eq!(channel.metrics().in_flight, 0);
        }
    });
}
